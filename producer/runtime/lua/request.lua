-- What a producer asks for, under billing:request:{job_id}: one JSON object of texts, written once and never changed.
-- A producer's Redis user may write any text there, so it counts only if all of it has the form that it must have.
local request_forms = {operation = '^%l[%l_]*$', queue = '^[%w_.-]+$', kid = '^[%w_.-]+$', digest = '^%x+$',
  sequence = '^%d+$', accepted_at = '^%d+%.%d+$', expires_at = '^%d+%.%d+$', customer_uid = '', merchant_uid = '', envelope = ''}
local function hex(digits) return string.rep('[0-9a-f]', digits) end
local traceparent_form = '^00%-' .. hex(32) .. '%-' .. hex(16) .. '%-' .. hex(2) .. '$' -- as W3C Trace Context has it
local function read_request(text)
  if not text or #text > 4096 then return nil end
  local is_json, asked = pcall(cjson.decode, text)
  if not is_json or type(asked) ~= 'table' then return nil end
  local fields = {}
  for name, form in pairs(request_forms) do
    fields[name] = asked[name]
    if type(asked[name]) ~= 'string' or not string.find(asked[name], form) then return nil end
  end
  -- Optional: an older producer does not name it, nor one that traces nothing.
  if asked.traceparent ~= nil then
    fields.traceparent = asked.traceparent
    if type(asked.traceparent) ~= 'string' or not string.find(asked.traceparent, traceparent_form) then return nil end
  end
  return fields
end

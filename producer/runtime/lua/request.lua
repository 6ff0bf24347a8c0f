-- What a producer asks for, under billing:request:{job_id}: one JSON object of texts, written once and never changed.
-- A producer's Redis user may write any text there, so it counts only if all of it has the form that it must have.
local function hex(digits) return string.rep('[0-9a-f]', digits) end
local request_forms = {operation = '^%l[%l_]*$', queue = '^[%w_.-]+$', kid = '^[%w_.-]+$', digest = '^%x+$',
  sequence = '^%d+$', accepted_at = '^%d+%.%d+$', expires_at = '^%d+%.%d+$', as_of = '^%d*$',
  customer_uid = '^[%w_.@:+=~-]*$', merchant_uid = '^[%w_.@:+=~-]*$', envelope = '^[%w:._-]*$'}
-- These two may be missing: an older producer names neither.
local traceparent_form = '^00%-' .. hex(32) .. '%-' .. hex(16) .. '%-' .. hex(2) .. '$' -- as W3C Trace Context has it
local function read_request(text)
  if not text or #text > 2048 then return nil end
  local is_json, asked = pcall(cjson.decode, text)
  if not is_json or type(asked) ~= 'table' then return nil end
  local fields = {}
  asked.as_of = asked.as_of or ''
  for name, form in pairs(request_forms) do
    local value = asked[name]
    if type(value) ~= 'string' or #value > 100 or not string.find(value, form) then return nil end
    fields[name] = value
  end
  fields.traceparent = asked.traceparent
  if asked.traceparent ~= nil and not string.find(tostring(asked.traceparent), traceparent_form) then return nil end
  for _, name in ipairs({'accepted_at', 'expires_at'}) do -- no job of ours lives longer than a week
    local at = #fields[name] <= 18 and tonumber(fields[name])
    if not at or at <= 0 or at > now + 700000 then return nil end
  end
  if #fields.sequence > 15 then return nil end
  return fields
end

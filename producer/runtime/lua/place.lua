-- A job's place among the open ones of its customer_uid: by sequence; a row of an export lies below, by the export's date,
-- since whatever is applied from now on is newer than that.
local function place_of(sequence, as_of)
  return as_of and tonumber(as_of) and tonumber(as_of) - 1e11 or tonumber(sequence) or 0
end

-- A provider's name as names are compared: trimmed, in lower case, with _ for - (contract section 2).
CREATE OR REPLACE MACRO provider_name(name) AS replace(lower(trim(name, E' \t\r\n')), '-', '_')

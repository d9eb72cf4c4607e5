-- Provider names are compared after trimming, lower-casing and turning - into _ (contract section 2).
CREATE OR REPLACE MACRO provider_name(provider) AS replace(lower(trim(provider, E' \t\r\n')), '-', '_')

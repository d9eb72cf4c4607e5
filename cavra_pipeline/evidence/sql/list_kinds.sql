-- Which kinds come in lines; cheap, since nothing else of them is read.
SELECT DISTINCT json_extract_string(line, '$.metadata_kind') AS metadata_kind
FROM lines
WHERE {{is_json}} AND NOT is_suspect

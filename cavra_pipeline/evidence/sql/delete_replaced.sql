DELETE FROM {{table}} AS held
USING given_drops AS given
WHERE given.error IS NULL AND held.drop_day = given.drop_day AND held.file_name = given.file_name

-- A landing file that can't be read now keeps what it brought before; without a fingerprint it is tried again.
UPDATE drops
SET error = given.error, fingerprint = ''
FROM given_drops AS given
WHERE given.error IS NOT NULL AND drops.drop_day = given.drop_day AND drops.file_name = given.file_name

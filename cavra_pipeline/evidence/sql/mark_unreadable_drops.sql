-- A landing file that can't be read now keeps what it brought before; without a fingerprint it is tried again.
UPDATE drops
SET error = staged.error, fingerprint = ''
FROM staged_drops AS staged
WHERE staged.error IS NOT NULL AND drops.drop_day = staged.drop_day AND drops.file_name = staged.file_name

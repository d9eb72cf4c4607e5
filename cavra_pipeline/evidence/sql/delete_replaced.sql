DELETE FROM {{table}} AS stored
USING staged_drops AS staged
WHERE staged.error IS NULL AND stored.drop_day = staged.drop_day AND stored.file_name = staged.file_name

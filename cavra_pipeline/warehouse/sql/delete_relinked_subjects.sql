DELETE FROM retried_subjects
USING relinked
WHERE
    retried_subjects.lane = relinked.lane AND retried_subjects.subject = relinked.subject
    AND retried_subjects.provider = relinked.provider

INSERT INTO alert_silences BY NAME
SELECT
    $silence_id AS silence_id, $kind::VARCHAR AS kind, $subject::VARCHAR AS subject, $author AS author,
    $starts_at::TIMESTAMP AS starts_at, $ends_at::TIMESTAMP AS ends_at, $comment AS comment, $now::TIMESTAMP AS created_at

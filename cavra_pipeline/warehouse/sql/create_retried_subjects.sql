-- Derived from retry_links: the subject that was tried first of each subject of a retry, at a provider, and the instant
-- from which that holds (contract section 4a). A circle has no first subject: those in it stand for themselves.
CREATE TABLE retried_subjects (
    lane VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    provider VARCHAR NOT NULL,
    first_subject VARCHAR NOT NULL,
    since TIMESTAMP NOT NULL
)

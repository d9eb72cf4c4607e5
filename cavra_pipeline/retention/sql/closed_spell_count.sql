-- Closed spells of the recoveries that were pruned.
SELECT coalesce(sum(closed_spell_count), 0)::BIGINT AS closed_spell_count FROM prunings

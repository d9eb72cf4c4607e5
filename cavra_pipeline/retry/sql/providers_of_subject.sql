SELECT DISTINCT provider FROM delivery_outcomes WHERE lane = $lane AND subject = $subject ORDER BY provider

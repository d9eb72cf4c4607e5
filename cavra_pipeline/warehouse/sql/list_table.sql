SELECT {{columns}}
FROM {{table}}
ORDER BY {{order}}

DELETE FROM {{table}} WHERE drop_day < $horizon::DATE

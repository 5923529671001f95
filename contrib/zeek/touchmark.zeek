# Zeek 4.1 or newer: `ssl` and `x509` in one JSON stream that `touchmark` reads (format zeek). TSV logs are read as well, each
# from its `#fields` line on. Client certificates are visible up to TLS 1.2.
@load policy/tuning/json-logs
redef LogAscii::json_timestamps = JSON::TS_ISO8601;

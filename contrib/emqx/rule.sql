-- EMQX 5: a rule whose output `touchmark` reads (format emqx); send it to a file or an HTTP server, one JSON object a
-- line. The listener needs `ssl_options.verify = verify_peer`, `fail_if_no_peer_cert = true`, and the zone
-- `mqtt.peer_cert_as_username = cn`: the user name is then the certificate's common name, not the client's word.
SELECT event, clientid, username, peername, connected_at, disconnected_at, reason, timestamp, node, proto_ver
FROM "$events/client_connected", "$events/client_disconnected"

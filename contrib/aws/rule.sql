-- AWS IoT Core: a topic rule whose output `touchmark` reads (format aws-iot); send it to S3, Kinesis or an HTTP end point,
-- one JSON object a line. Messages may come twice and out of order, which the reader and the engine expect.
SELECT * FROM '$aws/events/presence/#'

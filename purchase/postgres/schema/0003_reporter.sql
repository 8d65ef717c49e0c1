-- The replica that reports figures about the whole journal, so that the sum over all replicas is right. It has one row.
CREATE TABLE gigagate.reporter (
    one         integer NOT NULL PRIMARY KEY CHECK (one = 1),
    replica     text COLLATE "C" NOT NULL, -- a name that the replica chose when it started
    lease_until timestamptz NOT NULL       -- from then on, another replica may take its place
);
INSERT INTO gigagate.reporter VALUES (1, '', '-infinity');

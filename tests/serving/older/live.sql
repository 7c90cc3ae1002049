BEGIN TRANSACTION;
CREATE TABLE api_keys (
	key_id VARCHAR NOT NULL, 
	scope VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	hash VARCHAR NOT NULL, 
	per_minute INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	revoked_at DATETIME, 
	PRIMARY KEY (key_id)
);
INSERT INTO "api_keys" VALUES('4f1d09a2b7c3','site','shop front','0000000000000000000000000000000000000000000000000000000000000000',60000,'2024-05-01 09:00:00.000000',NULL);
CREATE TABLE console_sessions (
	token_hash VARCHAR NOT NULL, 
	key_id VARCHAR, 
	name VARCHAR NOT NULL, 
	csrf VARCHAR NOT NULL, 
	expires_at DATETIME NOT NULL, 
	PRIMARY KEY (token_hash)
);
CREATE TABLE contact_plan_members (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	campaign_id VARCHAR NOT NULL, 
	customer_id VARCHAR NOT NULL, 
	treated BOOLEAN NOT NULL, 
	planned_at DATETIME NOT NULL, 
	until DATETIME NOT NULL, 
	UNIQUE (campaign_id, customer_id)
);
CREATE TABLE contact_plans (
	campaign_id VARCHAR NOT NULL, 
	planned_at DATETIME NOT NULL, 
	asked BLOB NOT NULL, 
	answer BLOB NOT NULL, 
	PRIMARY KEY (campaign_id)
);
CREATE TABLE desk_notes (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	customer_id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	assigned_to VARCHAR, 
	snoozed_until DATETIME, 
	who VARCHAR NOT NULL, 
	written_at DATETIME NOT NULL
);
INSERT INTO "desk_notes" VALUES(1,'ann','assigned','agent',NULL,'x','2026-11-26 07:57:46.726640');
CREATE TABLE events (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	product_id VARCHAR, 
	occurred_at DATETIME NOT NULL, 
	customer_id VARCHAR, 
	session_id VARCHAR, 
	placement VARCHAR, 
	request_id VARCHAR, 
	experiment VARCHAR, 
	variant VARCHAR, 
	strategy VARCHAR, 
	model_version VARCHAR, 
	propensity FLOAT, 
	received_at DATETIME NOT NULL, 
	UNIQUE (event_id)
);
INSERT INTO "events" VALUES(1,'e1','view','a1','2026-11-26 07:57:46.109684',NULL,'s1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-26 07:57:46.115530');
INSERT INTO "events" VALUES(2,'e2','cart','a2','2026-11-26 07:57:46.109684','ann',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-26 07:57:46.115530');
INSERT INTO "events" VALUES(3,'identify
s1
ann','identify',NULL,'2026-11-26 07:57:46.183350','ann','s1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-26 07:57:46.183553');
CREATE TABLE outcomes (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	outcome_id VARCHAR NOT NULL, 
	customer_id VARCHAR NOT NULL, 
	outcome VARCHAR NOT NULL, 
	occurred_at DATETIME NOT NULL, 
	campaign_id VARCHAR, 
	channel VARCHAR, 
	who VARCHAR, 
	note VARCHAR, 
	received_at DATETIME NOT NULL, 
	UNIQUE (outcome_id)
);
INSERT INTO "outcomes" VALUES(1,'o1','ann','reached','2026-11-26 07:57:46.109684',NULL,NULL,NULL,'called ann','2026-11-26 07:57:46.241880');
CREATE TABLE saved_views (
	view_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	"query" VARCHAR NOT NULL, 
	who VARCHAR NOT NULL, 
	saved_at DATETIME NOT NULL, 
	PRIMARY KEY (view_id), 
	UNIQUE (name)
);
INSERT INTO "saved_views" VALUES('v1','mine','risk=30','dee','2024-05-01 09:00:00.000000');
CREATE INDEX ix_outcomes_customer_id ON outcomes (customer_id);
CREATE INDEX ix_contact_plan_members_campaign_id ON contact_plan_members (campaign_id);
CREATE INDEX ix_contact_plan_members_customer_id ON contact_plan_members (customer_id);
CREATE INDEX ix_desk_notes_customer_id ON desk_notes (customer_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',3);
INSERT INTO "sqlite_sequence" VALUES('outcomes',1);
INSERT INTO "sqlite_sequence" VALUES('desk_notes',1);
COMMIT;

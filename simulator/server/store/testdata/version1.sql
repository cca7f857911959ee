-- A database as version 1 wrote it: the tests bring it up to date. Never changed.
BEGIN TRANSACTION;
CREATE TABLE devices (
	id INTEGER PRIMARY KEY, product TEXT NOT NULL, name TEXT NOT NULL, iot_id TEXT NOT NULL, secret TEXT NOT NULL,
	nickname TEXT NOT NULL, disabled INTEGER NOT NULL, versions TEXT NOT NULL,
	registered INTEGER NOT NULL, activated INTEGER NOT NULL, last_online INTEGER NOT NULL, rev INTEGER NOT NULL
);
INSERT INTO "devices" VALUES(1,'a1KG6ht9rmx','d0','GGwVux6ViQdkQga7DzShKM53i000100','1f7e871ae65bfa33801f1390e4d47f8e','',0,'[{"Module":"default","Version":"2.0","At":1793520002000}]',1793520000000,1793520001000,1793520001000,4);
INSERT INTO "devices" VALUES(2,'a1KG6ht9rmx','d1','3YqgBsYQ93R1IfByuxByC8RSu000100','fb0458b1a9acb337c9f5b63d5480147a','',0,'[{"Module":"default","Version":"1.0","At":1793520002000}]',1793520000000,1793520002000,1793520002000,3);
INSERT INTO "devices" VALUES(3,'a1KG6ht9rmx','d2','3Nywi28StgHHyWVtGoFJ7Bwsb000100','18f2bb2feaa21a0d2bbebddd9e7c35b8','',0,'[]',1793520000000,0,0,1);
INSERT INTO "devices" VALUES(4,'a1KG6ht9rmx','d3','rao4ennLfa9qfYXnSkjE6hYT3000100','7c95570ae77316a08d296c9e1479864d','',0,'[]',1793520000000,0,0,1);
CREATE TABLE jobs (
	id TEXT PRIMARY KEY, account TEXT NOT NULL, product TEXT NOT NULL, package TEXT NOT NULL, status TEXT NOT NULL,
	body TEXT NOT NULL, rev INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "jobs" VALUES('j000000000002','me','a1KG6ht9rmx','p000000000001','IN_PROGRESS','{"ID":"j000000000002","Account":"me","Product":"a1KG6ht9rmx","Package":"p000000000001","Type":"UPGRADE_FIRMWARE","Selection":"STATIC","Target":"ALL","Status":"IN_PROGRESS","Desc":"","Sources":null,"Devices":null,"Policy":{"TimeoutMinutes":60,"RetryMinutes":10,"RetryCount":2,"MaximumPerMinute":1000,"Overwrite":1},"Tags":[{"Key":"k","Value":"v"}],"Gray":"","Start":0,"Finish":0,"Dynamic":0,"NextPush":1793520001860400000,"Counts":{"Queued":2,"Notified":0,"InProgress":1,"Succeeded":1,"Failed":0,"Canceled":0},"Created":1793520000000,"Modified":1793520002000,"Ended":0,"Revision":6}',6);
CREATE TABLE modules (
	product TEXT NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL, body TEXT NOT NULL, rev INTEGER NOT NULL,
	PRIMARY KEY (product, name)
) WITHOUT ROWID;
INSERT INTO "modules" VALUES('a1KG6ht9rmx','MCU',1793520000000,'{"Product":"a1KG6ht9rmx","Name":"MCU","Alias":"chip","Desc":"","Created":1793520000000,"Modified":1793520000000,"Revision":1}',1);
CREATE TABLE packages (
	id TEXT PRIMARY KEY, account TEXT NOT NULL, product TEXT NOT NULL, module TEXT NOT NULL, version TEXT NOT NULL,
	body TEXT NOT NULL, rev INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "packages" VALUES('p000000000001','me','a1KG6ht9rmx','default','2.0','{"ID":"p000000000001","Account":"me","Product":"a1KG6ht9rmx","Module":"default","Name":"fw","Desc":"","Diff":false,"Source":"","Version":"2.0","SignMethod":"Md5","Files":[{"Name":"fw.bin","Key":"k","Size":10,"MD5":"abababababababababababababababab","SHA256":""}],"UDI":"{}","Status":-1,"Progress":0,"Created":1793520000000,"Modified":1793520000000,"Revision":1}',1);
CREATE TABLE products (
	key TEXT PRIMARY KEY, account TEXT NOT NULL, created INTEGER NOT NULL, body TEXT NOT NULL, rev INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "products" VALUES('a1KG6ht9rmx','me',1793520000000,'{"Key":"a1KG6ht9rmx","Account":"me","Name":"lamp","Secret":"9bZRLSR2AN6xSmwH","Desc":"灯 \u003c\u0026\u003e","NodeType":0,"SecureUpgrade":true,"SigningKey":"a2V5","PublicKey":"cHVi","Created":1793520000000,"Revision":2}',2);
CREATE TABLE sequence (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL);
INSERT INTO "sequence" VALUES(1,6);
CREATE TABLE tasks (
	id TEXT PRIMARY KEY, job TEXT NOT NULL, package TEXT NOT NULL, product TEXT NOT NULL, device TEXT NOT NULL,
	module TEXT NOT NULL, source TEXT NOT NULL, version TEXT NOT NULL,
	status TEXT NOT NULL, phase INTEGER NOT NULL, attempt INTEGER NOT NULL, step INTEGER NOT NULL, reason TEXT NOT NULL,
	created INTEGER NOT NULL, modified INTEGER NOT NULL, notified_at INTEGER NOT NULL, begun_at INTEGER NOT NULL,
	retry_at INTEGER NOT NULL, rev INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "tasks" VALUES('t000000000003','j000000000002','p000000000001','a1KG6ht9rmx','d0','default','1.0','2.0','SUCCEEDED',0,1,100,'',1793520000000,1793520002000,1793520001000,1793520001000,0,5);
INSERT INTO "tasks" VALUES('t000000000004','j000000000002','p000000000001','a1KG6ht9rmx','d1','default','1.0','2.0','IN_PROGRESS',3,1,10,'',1793520000000,1793520002000,1793520002000,1793520002000,0,4);
INSERT INTO "tasks" VALUES('t000000000005','j000000000002','p000000000001','a1KG6ht9rmx','d2','default','','2.0','QUEUED',1,1,0,'',1793520000000,1793520000000,0,0,0,1);
INSERT INTO "tasks" VALUES('t000000000006','j000000000002','p000000000001','a1KG6ht9rmx','d3','default','','2.0','QUEUED',1,1,0,'',1793520000000,1793520000000,0,0,0,1);
CREATE INDEX products_account ON products (account, created);
CREATE UNIQUE INDEX devices_name ON devices (product, name);
CREATE INDEX devices_product ON devices (product, id);
CREATE INDEX devices_iot_id ON devices (iot_id);
CREATE INDEX jobs_package ON jobs (package, id);
CREATE INDEX tasks_job ON tasks (job, id);
CREATE INDEX tasks_status ON tasks (job, status, id);
CREATE INDEX tasks_device ON tasks (product, device, id);
CREATE INDEX tasks_active ON tasks (id) WHERE phase <> 0;
COMMIT;
PRAGMA user_version = 1;

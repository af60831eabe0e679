//! Every limit of the system that we choose, in one place. Only the limits of the decoders are elsewhere: in the crate
//! `thumbnailer`.

use std::time::Duration;

/// Largest file that may be sent inside a request or a response, in decoded bytes. A Lambda carries 6 MB each way with
/// binary as base64, so 4.5 MiB raw at most; the rest is room for the envelope.
pub const MAX_INLINE_BYTES: usize = 4 << 20;

/// Largest picture that may be given a document as its preview, in decoded bytes. Its largest thumbnail is 1600 pixels
/// wide.
pub const MAX_PREVIEW_BYTES: usize = 1 << 20;

/// The time after which the bytes of a preview are deleted, whatever became of its job: longer than the sweeper sends
/// the job again, see [`MAX_RESENDS`].
pub const PREVIEW_TTL: Duration = Duration::from_hours(7 * 24);

/// Largest file, in bytes: 5 TiB, our own limit. S3's limit is 48.8 TiB by now; [`MAX_PARTS`] parts of
/// [`MAX_PART_BYTES`] each are enough for both.
pub const MAX_FILE_BYTES: u64 = 5 << 40;

/// Largest file that is put into S3 with one `PUT`, in bytes: the limit of stock clients. A larger file is a multipart
/// upload.
pub const MAX_SINGLE_PUT_BYTES: u64 = 100 << 20;

/// The size of the parts of a larger file, in bytes, unless there would be more than [`MAX_PARTS`] parts.
pub const PART_BYTES: u64 = 16 << 20;

/// Smallest part that S3 accepts, in bytes; the last part may be smaller. Uppy sends parts of this size.
pub const MIN_PART_BYTES: u64 = 5 << 20;

/// Largest part that S3 takes, in bytes.
pub const MAX_PART_BYTES: u64 = 5 << 30;

/// Most parts of one file: the limit of S3.
pub const MAX_PARTS: u16 = 10_000;

/// Parts that one request signs.
pub const SIGNED_PARTS_PER_REQUEST: usize = 100;

/// Largest body with a list of parts, in bytes: enough for [`MAX_PARTS`] of them.
pub const PARTS_BODY_BYTES: usize = 1 << 20;

/// Direct uploads of one user that may be incomplete at the same time. Each leaves a row that the sweeper has to remove
/// if nobody completes the upload, and rows are removed in the order of their expiry. So without a limit one user could
/// delay the deletions of all others. Uppy sends six files at a time.
pub const MAX_INCOMPLETE_UPLOADS: u32 = 1000;

/// Longest list of media types that a ticket may be limited to.
pub const MAX_TICKET_TYPES: usize = 64;

/// Most tickets of one user that are listed, the newest ones.
pub const MAX_TICKETS_LISTED: i64 = 1000;

/// The longest lifetime of a ticket, in seconds, and the default lifetime.
pub const MAX_TICKET_SECONDS: u32 = 24 * 60 * 60;
pub const TICKET_DEFAULT_SECONDS: u32 = 60 * 60;

/// Most links of one user, and most links that are listed, the newest ones. Creating a link counts those of its user.
pub const MAX_LINKS: u64 = 10_000;
pub const MAX_LINKS_LISTED: i64 = 1000;

/// The longest lifetime of a link with an expiry, in seconds: ten years.
pub const MAX_LINK_SECONDS: u32 = 10 * 365 * 24 * 60 * 60;

/// The lifetime of a key that opens a link in place of its password.
pub const UNLOCK_TTL: Duration = Duration::from_hours(1);

/// The time within which requests of one visitor for one file count as one download.
pub const GRANT_TTL: Duration = Duration::from_hours(1);

/// The newest claims that the document of a link remembers as counted. A claim is needed until its visitor has the
/// grant in Redis, which takes some milliseconds, or a retry after a failure.
pub const CLAIMS_KEPT: u32 = 256;

/// Largest body of the form of a link's page, in bytes, and the files that it may have. Beside [`MAX_INLINE_BYTES`] of
/// files, the form has their names and its boundaries. Each file takes some 50 ms to store.
pub const FORM_BYTES: usize = MAX_INLINE_BYTES + (128 << 10);
pub const FORM_FILES: usize = 50;

/// Largest JSON body of an endpoint that carries no file, in bytes.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// Longest file name, in bytes of UTF-8: the limit of common file systems.
pub const MAX_NAME_BYTES: usize = 255;

/// Longest password, in bytes, checked before hashing so that a long one costs nothing.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// Longest e-mail of a new account, in bytes: RFC 5321 allows 64 for the local part and 255 for the domain, with an `@`
/// between them.
pub const MAX_EMAIL_BYTES: usize = 320;

/// Wrong passwords for one account from one network within [`FAILURES_WITHIN`] after which no more are checked; the
/// same number for one session. A person who tries some passwords stays below it.
pub const MAX_FAILURES: u32 = 10;
pub const FAILURES_WITHIN: Duration = Duration::from_mins(1);

/// Levels of folders: a row in the root is at level 1, and nothing can be created below this level. A read checks every
/// folder above its row, so the number of folders decides the cost of a read: some 30 µs of `MongoDB`'s time each.
/// People nest ten.
pub const MAX_FOLDER_DEPTH: u32 = 100;

/// Folders that a read looks at above its row. Moves that happen at the same moment, and rows of the original, can be
/// deeper than [`MAX_FOLDER_DEPTH`], up to twice as deep for moves.
pub const FOLDERS_READ_ABOVE: u32 = 2 * MAX_FOLDER_DEPTH;

/// The time after which a move counts as dead, and another may take over: twice as long as a function behind the API
/// runs.
pub const MOVE_TTL: Duration = Duration::from_mins(1);

/// Attempts at a move while other moves are in the way, and the time between the first two of them.
pub const MOVE_ATTEMPTS: u32 = 4;
pub const MOVE_RETRY: Duration = Duration::from_millis(50);

/// Folders that a moved folder may contain. Their levels are checked.
pub const MAX_FOLDERS_MOVED: usize = 100_000;

/// Folders whose content one query reads.
pub const FOLDERS_AT_ONCE: usize = 500;

/// Documents that are looked up at once, with the folders above each.
pub const ITEMS_AT_ONCE: usize = 250;

/// Items that a copied folder may contain.
pub const MAX_COPIED: usize = 20_000;

/// Rows of a copy that are read and written at once.
pub const COPY_BATCH: u32 = 2000;

/// The highest number that a name gets because the folder has the name already, and names that are tried at once.
pub const MAX_NAME_NUMBER: u32 = 10_000;
pub const NAMES_AT_ONCE: u32 = 100;

/// Attempts at a numbered name while other requests take the numbers. So many requests at once get different names.
pub const NAMING_ATTEMPTS: u32 = 200;

/// Rows with a name that are compared to a new name. The index finds some more than the equal ones: `a1` and `a01`.
pub const EQUAL_NAMES_READ: i64 = 1000;

/// Attempts at replacing a document that others replace, or upload, at the same time, and the time between two.
pub const REPLACE_ATTEMPTS: u32 = 8;
pub const REPLACE_RETRY: Duration = Duration::from_millis(100);

/// Attempts at exchanging the content of a document that others exchange at the same time.
pub const EXCHANGE_ATTEMPTS: u32 = 50;

/// Versions of one document that are read. Some more than are kept may be there until the sweeper has removed them.
pub const MAX_VERSIONS_READ: u32 = 1000;

/// Attempts at changing the counter of a user while it is made from the rows.
pub const QUOTA_ATTEMPTS: u32 = 6;

/// Notes of charges in the document of a user, after which an upload removes those that are settled.
pub const MAX_CHARGES: usize = 32;

/// The time after which a charge without a row counts as lost: longer than any function that charges runs.
pub const CHARGE_TTL: Duration = Duration::from_mins(5);

/// The time for which an upload that finds the quota used up looks for deleted rows.
pub const REFUND_TIME: Duration = Duration::from_secs(3);

/// The time for which the content of a folder is counted, and the items after which the count ends.
pub const FOLDER_USAGE_TIME: Duration = Duration::from_secs(2);
pub const FOLDER_USAGE_ITEMS: u64 = 100_000;

/// Documents that one request changes, and the time for which it begins with another.
pub const MAX_BATCH: usize = 100;
pub const BATCH_TIME: Duration = Duration::from_secs(15);

/// Documents in one page of a listing with a cursor: by default, and at most.
pub const PAGE_DEFAULT: u32 = 100;
pub const MAX_PAGE: u32 = 1000;

/// Wrong passwords from one network within [`FAILURES_WITHIN`], for any accounts, after which the network may only log
/// in to accounts that it logged in to before; the default of a parameter. Many people share one address, so it is ten
/// times [`MAX_FAILURES`]. An attacker with stolen passwords of many accounts gets 144,000 tries a day from one
/// network.
pub const FAILURES_PER_ADDRESS: u32 = 100;

/// The debt that one wrong password for an account, from any network, adds to the account; time pays the debt back. One
/// network may fail [`MAX_FAILURES`] times a minute, which makes 60 s of debt a minute and never adds up: one network
/// alone does not delay the others.
pub const ACCOUNT_FAILURE: Duration = Duration::from_secs(6);

/// A wrong password adds the account's debt divided by this, if that is more than [`ACCOUNT_FAILURE`]: the delay grows
/// with the number of failures.
pub const ACCOUNT_GROWTH: u32 = 30;

/// While the debt of an account is larger than this, networks that never logged in to the account wait. A hundred wrong
/// passwords at once make this debt: 30 at 6 s make 180 s, and 70 of a thirtieth of the debt each make 30 min. At this
/// debt one wrong password costs 58 s, so the next is checked a minute later.
pub const ACCOUNT_MAX_DEBT: Duration = Duration::from_mins(29);

/// Networks that an account remembers, those of the latest logins, and the time since the last login for which a
/// network is remembered. Both are enough for a telephone that changes its network every day.
pub const KNOWN_NETWORKS: isize = 32;
pub const KNOWN_NETWORK_TTL: Duration = Duration::from_hours(30 * 24);

/// Sign-ups from one network within [`SIGN_UPS_WITHIN`]; the default of a parameter. After these, the network gets one
/// more for each hundredth of this time. A sign-up costs an Argon2id and a row. A school class or an office may sign up
/// at once.
pub const SIGN_UPS_PER_ADDRESS: u32 = 100;
pub const SIGN_UPS_WITHIN: Duration = Duration::from_hours(1);

/// Documents on one page of a listing.
pub const PAGE_SIZE: u32 = 20;

/// The highest offset of a page in a listing. No folder reaches it, and `MongoDB` does not accept a much larger number.
pub const MAX_LISTING_OFFSET: u64 = 1 << 32;

/// Documents that a sorted listing gives at once, and the number without a `limit`.
pub const MAX_LISTED: usize = 1000;
pub const LISTED: usize = 100;

/// Longest value, in bytes, that a cursor of a listing carries: above our own longest name, and short enough for the
/// 10,240 bytes that the gateway allows a request line with its headers. For a longer value of the original, the cursor
/// names the document.
pub const CURSOR_VALUE_BYTES: usize = 1024;

/// Words by which one name is found, and the longest of them, in bytes. Most names have three; an index entry of a word
/// has 28 bytes.
pub const MAX_WORDS: usize = 16;
pub const MAX_WORD_BYTES: usize = 32;

/// Longest text to search for, in bytes: no name of ours is longer.
pub const MAX_QUERY_BYTES: usize = 255;

/// Documents that a search finds, and the number without a `limit`.
pub const MAX_FOUND: usize = 100;
pub const FOUND: usize = 50;

/// Matches of a search among which the newest come first. To sort all matches, `MongoDB` would have to read all.
pub const SEARCHED_AT_ONCE: usize = 1000;

/// Matches that `MongoDB` sends at once. What it has sent counts if there is no time for the rest.
pub const SEARCH_BATCH: u32 = 100;

/// Rows without words of one user that a search reads: some 100 ms of `MongoDB`'s time.
pub const SCANNED_NAMES: usize = 20_000;

/// The time for which one search looks for matches, and the time after which it ends with what it has found. A query
/// that only short words match may have to read as many rows as the user has.
pub const SEARCH_MATCHING: Duration = Duration::from_millis(1500);
pub const SEARCH_TIMEOUT: Duration = Duration::from_millis(2200);

/// Rows that get their words at once, and the time for which one run of the sweeper begins new batches of them.
pub const INDEXED_AT_ONCE: i64 = 500;
pub const INDEXING_TIME: Duration = Duration::from_mins(1);

/// The time that the sweeper waits for new indexes: as long as Lambda lets it run, less what its report needs.
/// `MongoDB` builds the indexes of a million rows in some 12 s, and goes on if nobody waits any more.
pub const INDEX_BUILD_TIMEOUT: Duration = Duration::from_mins(14);

/// Attempts at a query that names an index, with the indexes created between them, and the delay before the second
/// creation, which grows by itself with each further one.
pub const INDEX_ATTEMPTS: u32 = 5;
pub const INDEX_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The lifetime of a session.
pub const SESSION_TTL: Duration = Duration::from_hours(24);

/// The lifetime of a session with a cookie, which the web app keeps: so long after its last use by the app, and so long
/// after the sign-in at most.
pub const COOKIE_IDLE_TTL: Duration = Duration::from_hours(7 * 24);
pub const COOKIE_TTL: Duration = Duration::from_hours(30 * 24);

/// Tolerated clock skew between two instances. Lambda keeps its clocks within some milliseconds.
pub const CLOCK_SKEW: Duration = Duration::from_secs(2);

/// Sessions that one user may have open; one more login ends the oldest. Otherwise a client that logs in for each
/// request would fill Redis for a day. As many sessions are listed, and ended at once.
pub const MAX_SESSIONS: isize = 1000;

/// API keys that one user may have.
pub const MAX_KEYS: i64 = 100;

/// The longest name of an API key, in bytes of UTF-8.
pub const MAX_KEY_NAME_BYTES: usize = 255;

/// The longest lifetime of an API key, in seconds. By default a key lasts until it is deleted.
pub const MAX_KEY_SECONDS: u32 = 365 * 24 * 60 * 60;

/// How exact the time is at which an API key was last used. Otherwise each request would write to MongoDB.
pub const KEY_USE_PERIOD: Duration = Duration::from_hours(1);

/// The timeout of ending many sessions. A repeated request goes on where the first stopped.
pub const END_SESSIONS_TIMEOUT: Duration = Duration::from_secs(2);

/// The time for which a request may still store data after its account was deleted, or after the file of another
/// attempt at it was deleted. The time is longer than any function behind the API runs.
pub const IN_FLIGHT_GRACE: Duration = Duration::from_mins(1);

/// The time before Lambda ends the function at which the function answers, if it has not answered by then.
pub const DEADLINE_MARGIN: Duration = Duration::from_millis(500);

/// The idle time after which a connection may have been lost. Lambda freezes an instance between two events. Meanwhile
/// the network between the instance and a store may drop the connection, without telling either end. No known network
/// does so within less than a minute; S3 itself closes a connection after a few seconds without a request.
pub const IDLE_BEFORE_PROBE: Duration = Duration::from_secs(5);

/// The timeout of `MongoDB`'s answer to a probe after an idle time: some round trips to another region. Together with
/// [`STATUS_TIMEOUT`] it is less than a second.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(200);

/// The time that `/status` waits for a store before it says `false`.
pub const STATUS_TIMEOUT: Duration = Duration::from_millis(750);

/// The timeout of one `MongoDB` operation, retries of the driver included.
pub const MONGODB_TIMEOUT: Duration = Duration::from_millis(2500);

/// The timeout of a `MongoDB` operation that touches many documents. A repeated operation goes on where the first
/// stopped.
pub const MONGODB_BULK_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for which the driver looks for a usable `MongoDB` server, and for a connection to it.
pub const MONGODB_SELECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// `MongoDB` connections of one function instance for its operations. An instance serves one request at a time, which
/// sends at most two operations at once. The driver has one more connection for each member of a replica set, to
/// monitor it: 5 in all with the three members of Atlas. Atlas M0 allows 500 connections, enough for 100 instances.
pub const MONGODB_MAX_CONNECTIONS: u32 = 2;

/// The time that a `MongoDB` connection may be idle while its instance serves requests with others: the value that
/// `MongoDB` advises for Lambda.
pub const MONGODB_MAX_IDLE: Duration = Duration::from_mins(1);

/// The timeout of one Redis command, a reconnect included.
pub const REDIS_TIMEOUT: Duration = Duration::from_millis(1500);

/// The timeout of a command on a Redis connection that has worked before. After it the connection counts as lost, and
/// the command is sent again on a new connection, with the rest of [`REDIS_TIMEOUT`].
pub const REDIS_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);

/// The timeout of one S3 operation on inline bytes, all attempts together.
pub const S3_INLINE_TIMEOUT: Duration = Duration::from_millis(2500);

/// The timeout of the worker's read or write of one object of up to [`SOURCE_BYTES`], all attempts together: 8 MiB a
/// second, about a tenth of what Lambda gets from S3.
pub const S3_WORKER_TIMEOUT: Duration = Duration::from_secs(8);

/// The time that one job may wait for the stores before its image is decoded: the look-up, the copy of a form's object,
/// and the source.
pub const JOB_FETCH: Duration = Duration::from_secs(10);

/// The time that one job may wait for the stores after its image is decoded.
pub const JOB_STORE: Duration = Duration::from_secs(6);

/// The lifetime of a URL with which anybody can read one object.
pub const DOWNLOAD_URL_TTL: Duration = Duration::from_mins(1);

/// The lifetime of a URL or a form with which a client puts bytes into S3: long enough to begin with the last of
/// [`SIGNED_PARTS_PER_REQUEST`], short enough for the credentials of the function that signed it.
pub const UPLOAD_URL_TTL: Duration = Duration::from_mins(15);

/// The timeout of listing all parts of an upload.
pub const LIST_PARTS_TIMEOUT: Duration = Duration::from_secs(6);

/// The timeout of completing a multipart upload at S3. If S3 takes longer, its message finishes the upload.
pub const COMPLETE_MULTIPART_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest `Idempotency-Key`, in bytes, and the time for which it is kept.
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;
pub const IDEMPOTENCY_TTL: Duration = Duration::from_hours(24);

/// The timeout of sending one message. An upload waits for it, so it is short: the sweeper sends a message that cannot
/// be sent now.
pub const SQS_TIMEOUT: Duration = Duration::from_millis(1500);

/// The timeout of reading the URLs of the stores at a cold start, all attempts together. Lambda gives a cold start 10
/// seconds.
pub const SSM_TIMEOUT: Duration = Duration::from_secs(9);

/// The timeout of one attempt at reading these URLs.
pub const SSM_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// The time between two attempts at reading these URLs: half of the first value to all of it after the first attempt, twice
/// as much after each further attempt, up to the second value. SSM answers 40 of these calls a second in an account, and
/// each of the instances that start in a burst needs one.
pub const SSM_BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// The timeout of connecting to an AWS service.
pub const AWS_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The timeout of one attempt at a small AWS call: one that reads the beginning of an object, deletes an object or
/// sends a message. Such a call takes some 20 ms, seldom 200. A call that carries many bytes or touches many objects
/// has its whole time for one attempt.
pub const AWS_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(700);

/// Attempts at one AWS call, within the timeout above. If calls fail three times in ten, one in 170,000 uses up its
/// attempts.
pub const AWS_ATTEMPTS: u32 = 10;

/// Widths of the thumbnails of the contract, in pixels, largest first.
pub const THUMBNAIL_WIDTHS: [u32; 3] = [500, 250, 100];

/// Every width that a deployment can choose, in pixels, largest first. What deletes thumbnails deletes all of them, because
/// the widths may have changed since.
pub const POSSIBLE_THUMBNAIL_WIDTHS: [u32; 4] = [1600, 500, 250, 100];

/// Largest image file that the worker reads, in bytes.
pub const SOURCE_BYTES: u64 = 64 << 20;

/// The number of times that the worker may die while it decodes the same image, before that image fails without being
/// decoded again. One death may have had another cause.
pub const MAX_DECODINGS: u32 = 2;

/// The number of times that the queue delivers a message before it moves the message to the dead-letter queue:
/// `maxReceiveCount` in `template.yaml`.
pub const MAX_RECEIVES: u32 = 5;

/// The number of times that the delay of a failed job is doubled. With 40 s at first, a store may be down for some ten
/// minutes before its jobs reach the dead-letter queue.
pub const RETRY_DOUBLINGS: u32 = 3;

/// The time between the retries of the jobs of one batch, so that each comes alone: longer than a poller of Lambda
/// takes to receive one.
pub const RETRY_APART: Duration = Duration::from_secs(2);

/// The number of times that the sweeper sends a job again. Each time the job has twice as long as before. With a first
/// grace period of 15 minutes the last one ends after 64 hours, when a store is back or a missing permission is given.
/// After that the image fails, so that its messages in the dead-letter queue come to an end.
pub const MAX_RESENDS: u32 = 8;

/// Messages that one call sends to SQS, and messages whose visibility one call changes: the limit of SQS.
pub const QUEUE_BATCH: usize = 10;

/// The time for which a sweep claims the rows that it is about to remove: far longer than the removal takes.
pub const CLAIM_TTL: Duration = Duration::from_mins(1);

/// Rows that the sweeper takes at once.
pub const SWEEP_BATCH: i64 = 500;

/// The time for which one run of the sweeper begins new batches, of lost jobs and of deletions together. The next run
/// goes on from there. After 15 minutes Lambda ends the function, and the schedule starts the next run: the rest is for
/// the batch that is running then.
pub const SWEEP_TIME: Duration = Duration::from_mins(10);

/// Documents of the original that are read at once when their files are brought into the bucket.
pub const ADOPTION_ROWS: i64 = 500;

/// Files of the original that are put at once: eight keep a line of 1 Gbit/s busy at S3's usual 20-50 ms a request.
pub const ADOPTION_PUTS: usize = 8;

/// The timeout of putting one file of the original, all attempts together: the largest, 512 MB, at 5 Mbit/s.
pub const ADOPTION_PUT_TIMEOUT: Duration = Duration::from_mins(15);

/// Largest file of the original that is brought into the bucket: the limit of S3 for one request. The original reads an
/// upload into one string of at most 512 MB, so it has no larger file.
pub const ADOPTION_BYTES: u64 = 5 << 30;

/// Documents that the report of an adoption names for each reason; further documents are only counted.
pub const ADOPTION_FINDINGS: usize = 20;

/// The time for which the sweeper skips a row that it cannot read: the log names the row once a day, until a person
/// repairs it.
pub const UNREADABLE_ROW_DELAY: Duration = Duration::from_hours(24);

/// Objects that S3 deletes at once.
pub const DELETED_AT_ONCE: usize = 1000;

/// Multipart uploads that are searched for, and that are aborted, at the same time. One after the other, 500 rows would
/// take S3 some 20 s.
pub const ABORTED_AT_ONCE: usize = 16;

/// Rows that are read at once when ledger and bucket are compared. S3 lists up to 1000 objects at once.
pub const FSCK_ROWS: u32 = 500;

/// Findings of each kind that a comparison of ledger and bucket names; further findings are only counted. A finding has
/// some 100 bytes, of the 6 MB that a function may return.
pub const FSCK_FINDINGS: u32 = 1000;

/// The timeout of the sum of a user's rows, of which `MongoDB` adds up some 600,000 a second.
pub const FSCK_USAGE_TIMEOUT: Duration = Duration::from_mins(1);

/// Attempts to read a user's rows while nothing of the user is counted.
pub const FSCK_USAGE_ATTEMPTS: u32 = 3;

/// The timeout of one S3 listing, all attempts together.
pub const S3_LISTING: Duration = Duration::from_secs(10);

/// The time before the function's end at which a comparison stops, so that its findings are still reported.
pub const FSCK_REPORT: Duration = Duration::from_secs(5);

/// Attempts at starting a function, each within [`AWS_ATTEMPT_TIMEOUT`]. The sweeper starts what was not started.
pub const INVOKE_ATTEMPTS: u32 = 3;

/// Documents that one request puts into a ZIP, with everything in the folders among them.
pub const MAX_ZIPPED: usize = 1000;

/// ZIPs of one user, or of one link, that are made at the same time, and that are kept. Each may be as large as all
/// files of the user, and counts in no quota.
pub const MAX_ZIPS_MADE: u64 = 10;
pub const MAX_ZIPS_KEPT: u64 = 100;

/// The time for which a ZIP is kept, counted from the request and again from when it is ready.
pub const ZIP_TTL: Duration = Duration::from_hours(24);

/// Entries of a ZIP, and the bytes of their paths. The list of the entries and the directory of the ZIP are in the memory
/// of the function that builds it: some 100 MB of its 512.
pub const MAX_ZIP_ENTRIES: usize = 200_000;
pub const MAX_ZIP_PATHS: usize = 32 << 20;

/// Largest list of the entries of a ZIP as it is stored, in bytes: above what the two limits before allow.
pub const MAX_ZIP_PLAN_BYTES: u64 = 128 << 20;

/// Largest ZIP, in bytes: 5 TiB, which every S3 takes.
pub const MAX_ZIP_BYTES: u64 = 5 << 40;

/// Files of a ZIP that S3 copies. Each takes two parts or more of the [`MAX_PARTS`] that a multipart upload has.
pub const MAX_ZIP_COPIES: usize = 4000;

/// Bytes that S3 copies as one part, if that does not take too many parts. S3 copies some 100 MB a second for each
/// request, so parts of this size are copied in parallel.
pub const ZIP_COPY_BYTES: u64 = 256 << 20;

/// The size up to which the bytes of small files are gathered for one part: the first that needs no more than
/// [`MAX_PARTS`] parts.
pub const ZIP_PART_BYTES: [u64; 4] = [8 << 20, 16 << 20, 32 << 20, 64 << 20];

/// Parts of a ZIP that are in memory at once, parts that are made at once, and reads of files at once. A read has at most
/// [`ZIP_READ_BYTES`], so reads take 64 MB and parts 200 MB.
pub const ZIP_PARTS_IN_MEMORY: usize = 3;
pub const ZIP_PARTS_AT_ONCE: usize = 16;
pub const ZIP_READS_AT_ONCE: usize = 16;
pub const ZIP_READ_BYTES: u64 = 4 << 20;

/// The timeout of one read or write of S3 by the function that builds a ZIP: 64 MiB at 2 MiB a second.
pub const ZIP_S3_TIMEOUT: Duration = Duration::from_secs(32);

/// The timeouts of copying one part of a ZIP, and of completing the multipart upload of a ZIP.
pub const ZIP_COPY_TIMEOUT: Duration = Duration::from_mins(1);
pub const ZIP_COMPLETE_TIMEOUT: Duration = Duration::from_mins(1);

/// The time for which a builder has a ZIP for itself, and the time after which it renews that and stores its progress.
pub const ZIP_LEASE: Duration = Duration::from_secs(45);
pub const ZIP_LEASE_RENEWAL: Duration = Duration::from_secs(2);

/// The time before the function's end at which a builder stops, so that another invocation goes on: longer than the
/// longest step of a builder.
pub const ZIP_HANDOVER: Duration = Duration::from_secs(90);

/// The number of builders that may begin with a ZIP without getting further, and the number of times that a ZIP is begun
/// anew because a file was deleted meanwhile.
pub const MAX_ZIP_ATTEMPTS: u32 = 20;
pub const MAX_ZIP_PLANS: u32 = 3;

/// The time for which the sweeper leaves a ZIP to the invocations that Lambda itself repeats.
pub const ZIP_RESTART_AFTER: Duration = Duration::from_mins(1);

/// ZIPs that the sweeper restarts or removes in one run, at most.
pub const ZIPS_SWEPT: i64 = 500;

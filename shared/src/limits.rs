//! Every limit of the system that is ours to choose, in one place.

use std::time::Duration;

/// Largest file that may travel inside a request or an answer, in decoded bytes. A Lambda carries 6 MB each
/// way with binary as base64, so 4.5 MiB raw at most; the rest is room for the envelope.
pub const MAX_INLINE_BYTES: usize = 4 << 20;

/// Largest file, in bytes: 5 TiB, our own limit. S3 takes 48.8 TiB by now; [`MAX_PARTS`] parts of [`MAX_PART_BYTES`] each
/// would do for either.
pub const MAX_FILE_BYTES: u64 = 5 << 40;

/// Largest file that is put into S3 whole, in bytes: what stock clients send so. Above it comes in parts.
pub const MAX_SINGLE_PUT_BYTES: u64 = 100 << 20;

/// How large the parts of a larger file are, in bytes, unless there would be more than [`MAX_PARTS`] of them.
pub const PART_BYTES: u64 = 16 << 20;

/// Smallest part that S3 joins to an object, in bytes; the last part may be smaller. Uppy sends parts of this size.
pub const MIN_PART_BYTES: u64 = 5 << 20;

/// Largest part that S3 takes, in bytes.
pub const MAX_PART_BYTES: u64 = 5 << 30;

/// Most parts of one file: what S3 takes.
pub const MAX_PARTS: u16 = 10_000;

/// Parts that are signed at once.
pub const SIGNED_PARTS_PER_REQUEST: usize = 100;

/// Largest body that names the parts of a file, in bytes: [`MAX_PARTS`] of them.
pub const PARTS_BODY_BYTES: usize = 1 << 20;

/// Uploads of one user, to S3, that may be incomplete at the same time. Each leaves a row that the sweeper has to remove
/// if nobody completes the upload, and rows go in the order of their expiry: without a limit one user could make the
/// deletions of all others wait. Uppy sends six files at a time.
pub const MAX_INCOMPLETE_UPLOADS: u32 = 1000;

/// Longest list of media types that a ticket may be limited to.
pub const MAX_TICKET_TYPES: usize = 64;

/// Tickets of one user that are listed, the newest.
pub const MAX_TICKETS_LISTED: i64 = 1000;

/// How long a ticket for uploads may live, in seconds, and how long it does where nothing is said.
pub const MAX_TICKET_SECONDS: u32 = 24 * 60 * 60;
pub const TICKET_DEFAULT_SECONDS: u32 = 60 * 60;

/// Largest JSON body of an endpoint that carries no file, in bytes.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// Longest file name, in bytes of UTF-8: what common file systems take.
pub const MAX_NAME_BYTES: usize = 255;

/// Longest password, in bytes, checked before hashing so that a long one costs nothing.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// Longest e-mail of a new account, in bytes: RFC 5321 allows 64 for the local part and 255 for the domain, with an `@`
/// between them.
pub const MAX_EMAIL_BYTES: usize = 320;

/// Wrong passwords for one account from one network within [`FAILURES_WITHIN`] after which no more are looked at; the same
/// number for one session. A person who tries some passwords stays below it.
pub const MAX_FAILURES: u32 = 10;
pub const FAILURES_WITHIN: Duration = Duration::from_mins(1);

/// Levels of folders: what lies in the root is at level 1, and nothing is made below this one. A read looks at each folder
/// above what it reads, so that their number is what a read costs: some 30 µs of `MongoDB`'s time each. People nest ten.
pub const MAX_FOLDER_DEPTH: u32 = 100;

/// Wrong passwords from one network within [`FAILURES_WITHIN`], for any accounts, after which the network may only log in to
/// accounts that it logged in to before; the default of a parameter. Many people share one address, so it is ten times
/// [`MAX_FAILURES`]. Whoever tries stolen passwords of many accounts gets 144,000 tries a day from one network.
pub const FAILURES_PER_ADDRESS: u32 = 100;

/// The debt that one wrong password for an account, from any network, adds to the account; time pays the debt back. One
/// network may fail [`MAX_FAILURES`] times a minute, which makes 60 s of debt a minute and never adds up: one network alone does
/// not hold up another.
pub const ACCOUNT_FAILURE: Duration = Duration::from_secs(6);

/// A wrong password adds the debt divided by this, where that is more than [`ACCOUNT_FAILURE`]: the delay grows with the
/// number of failures.
pub const ACCOUNT_GROWTH: u32 = 30;

/// While the debt of an account is larger than this, networks that never logged in to the account wait. A hundred wrong
/// passwords at once make so much: 30 at 6 s make 180 s, and 70 of a thirtieth of the debt each make 30 min. At this debt
/// one costs 58 s, so the next is looked at a minute later.
pub const ACCOUNT_MAX_DEBT: Duration = Duration::from_mins(29);

/// Networks that an account remembers, those of the latest logins, and for how long after the last login from there. Enough for
/// a telephone that changes its network every day.
pub const KNOWN_NETWORKS: isize = 32;
pub const KNOWN_NETWORK_TTL: Duration = Duration::from_hours(30 * 24);

/// Sign-ups from one network within [`SIGN_UPS_WITHIN`]; the default of a parameter. Beyond, the network gets one more for
/// each hundredth of this time. A sign-up costs an Argon2id and a row. A school class or an office may sign up at once.
pub const SIGN_UPS_PER_ADDRESS: u32 = 100;
pub const SIGN_UPS_WITHIN: Duration = Duration::from_hours(1);

/// Documents on one page of a listing.
pub const PAGE_SIZE: u32 = 20;

/// How far into a listing a page may begin; no folder reaches there, and a larger number means nothing to `MongoDB`.
pub const MAX_LISTING_OFFSET: u64 = 1 << 32;

/// How long a session lives.
pub const SESSION_TTL: Duration = Duration::from_hours(24);

/// How far the clocks of two instances may differ. Lambda keeps its clocks within some milliseconds.
pub const CLOCK_SKEW: Duration = Duration::from_secs(2);

/// Sessions that one user may have open; one more login ends the oldest. A client that logs in for each request would
/// otherwise fill Redis for a day. As many are listed, and ended at once.
pub const MAX_SESSIONS: isize = 1000;

/// How long ending many sessions may take; repeated, it goes on where it was.
pub const END_SESSIONS_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a request may still store something that was under way when its account ended, or when what another attempt
/// at it had made was deleted: longer than any function behind the API runs.
pub const IN_FLIGHT_GRACE: Duration = Duration::from_mins(1);

/// How long before Lambda ends it a function answers, if it has not by then.
pub const DEADLINE_MARGIN: Duration = Duration::from_millis(500);

/// After so long without an event nobody knows whether a connection still works. Lambda freezes an instance between two
/// events, and what lies between it and a store may forget the connection meanwhile, without a word to either end. Nothing
/// known does so within less than a minute; S3 itself closes a connection after a few seconds without a request.
pub const IDLE_BEFORE_PROBE: Duration = Duration::from_secs(5);

/// How long `MongoDB` may take after a silence to show that it still has the connection: some times the way to another
/// region and back. Together with [`STATUS_TIMEOUT`] it is less than a second.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(200);

/// How long `/status` waits for a store before it says `false`.
pub const STATUS_TIMEOUT: Duration = Duration::from_millis(750);

/// How long one `MongoDB` operation may take, retries of the driver included.
pub const MONGODB_TIMEOUT: Duration = Duration::from_millis(2500);

/// How long one that touches many documents may take; repeated, it goes on where it was.
pub const MONGODB_BULK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the driver looks for a usable `MongoDB` server, and for a connection to it.
pub const MONGODB_SELECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// `MongoDB` connections of one function instance for its operations: it serves one request at a time, which asks for two
/// things at once at most. The driver has one more for each member of a replica set, to watch it: 5 in all with the three
/// members of Atlas. Atlas M0 allows 500 connections, which are 100 instances.
pub const MONGODB_MAX_CONNECTIONS: u32 = 2;

/// How long a `MongoDB` connection may be idle while its instance serves requests with others: what `MongoDB` advises for
/// Lambda.
pub const MONGODB_MAX_IDLE: Duration = Duration::from_mins(1);

/// How long one Redis command may take, a reconnect included.
pub const REDIS_TIMEOUT: Duration = Duration::from_millis(1500);

/// How long a connection to Redis that has worked before may take for a command. After that it counts as lost, and the
/// command is sent again on a new one, which has the rest of [`REDIS_TIMEOUT`].
pub const REDIS_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(500);

/// How long one S3 operation on inline bytes may take, all attempts together.
pub const S3_INLINE_TIMEOUT: Duration = Duration::from_millis(2500);

/// How long the worker may take to read or write one object of up to [`SOURCE_BYTES`], all attempts together: 8 MiB a
/// second, about a tenth of what Lambda gets from S3.
pub const S3_WORKER_TIMEOUT: Duration = Duration::from_secs(8);

/// How long one job may wait for the stores before its image is decoded: the look-up, the copy of what a form put, and the
/// source.
pub const JOB_FETCH: Duration = Duration::from_secs(10);

/// How long decoding one image takes at most, unless the image was made to be slow. Only the end of the function stops the
/// decoder of such an image, which leaves the mark: after the second time the image fails.
pub const JOB_DECODE: Duration = PNG_ROWS;

/// How long one job may wait for the stores after its image is decoded.
pub const JOB_STORE: Duration = Duration::from_secs(6);

/// How long one job takes at most, with the mark that its image is being decoded. The worker begins no job with less time
/// left, so that Lambda does not end it in the middle of one. The worker's timeout in `template.yaml` leaves 6 s beside it,
/// in which a batch of usual jobs is begun.
pub const JOB: Duration =
    JOB_FETCH.saturating_add(MONGODB_TIMEOUT).saturating_add(JOB_DECODE).saturating_add(JOB_STORE);

/// How long a URL lives that lets anybody read one object.
pub const DOWNLOAD_URL_TTL: Duration = Duration::from_mins(1);

/// How long a URL or a form lives that lets a client put bytes into S3: long enough to begin with the last of
/// [`SIGNED_PARTS_PER_REQUEST`], short enough for the credentials of the function that signed it.
pub const UPLOAD_URL_TTL: Duration = Duration::from_mins(15);

/// How long listing all parts of an upload may take.
pub const LIST_PARTS_TIMEOUT: Duration = Duration::from_secs(6);

/// How long S3 may take to make one object of its parts; if it takes longer, its message finishes the upload.
pub const COMPLETE_MULTIPART_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest `Idempotency-Key`, in bytes, and how long it is remembered.
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;
pub const IDEMPOTENCY_TTL: Duration = Duration::from_hours(24);

/// How long sending one message may take. An upload waits for it, so it is short: what is not sent now, the
/// sweeper sends.
pub const SQS_TIMEOUT: Duration = Duration::from_millis(1500);

/// How long reading the URLs of the stores at a cold start may take, all attempts together. Lambda gives a cold start 10
/// seconds.
pub const SSM_TIMEOUT: Duration = Duration::from_secs(9);

/// How long one attempt at it may take.
pub const SSM_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Attempts at it, more than there is time for. SSM answers 40 of these calls a second in an account, and each of the
/// instances that start in a burst needs one.
pub const SSM_ATTEMPTS: u32 = 50;

/// The time between two attempts at it: at most this after the first, twice as much after each further one, up to the
/// second of these.
pub const SSM_BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// How long connecting to an AWS service may take.
pub const AWS_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long one attempt at a small AWS call may take: one that reads the beginning of an object, deletes one or sends a
/// message. They take some 20 ms, seldom 200. What carries many bytes or touches many objects has all of its time for one
/// attempt.
pub const AWS_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(700);

/// Attempts at one AWS call, within the time above. Of calls that fail three times in ten, one in 170,000 uses them up.
pub const AWS_ATTEMPTS: u32 = 10;

/// Widths of the thumbnails, in pixels, largest first.
pub const THUMBNAIL_WIDTHS: [u32; 3] = [500, 250, 100];

/// Largest image file that the worker reads, in bytes.
pub const SOURCE_BYTES: u64 = 64 << 20;

/// Most pixels of a source image, by its header.
pub const SOURCE_PIXELS: u64 = 50_000_000;

/// Longest side of a source image, in pixels, by its header.
pub const SOURCE_SIDE: u32 = 16_384;

/// Most pixels of a source image that are kept while it is shrunk: one that is tall and narrow is shrunk to less than
/// twice the size of its thumbnail before the rest is done well.
pub const SHRUNK_PIXELS: u64 = 6_300_000;

/// Most scans of a JPEG. Progressive ones have about ten; each costs time, however little data it has.
pub const JPEG_SCANS: u32 = 100;

/// Most scans of a progressive JPEG that code one coefficient: a scan for each of its bits, which ITU-T T.81 numbers
/// from 0 to 13. A scan that codes the bits of an earlier one adds nothing, and costs as much time.
pub const JPEG_COEFFICIENT_SCANS: u32 = 14;

/// Most Huffman tables that a JPEG defines for one scan. A scan uses eight at most; the rest is room for files that define
/// the same tables again and again.
pub const JPEG_HUFFMAN_TABLES: u32 = 64;

/// Longest colour profile that is applied, in bytes: those of printing presses have up to 9 MB. A longer one is ignored.
pub const PROFILE_BYTES: usize = 10 << 20;

/// Most tags of a colour profile that is applied: as many as Little CMS reads. The same data may stand under any number
/// of tags, and is copied for each.
pub const PROFILE_TAGS: u32 = 100;

/// Longest colour profile of a PNG, decompressed, in bytes: those of RGB and grey have some hundred kB at most.
pub const PNG_PROFILE_BYTES: usize = 2 << 20;

/// Most memory for other chunks of a PNG, in bytes; nothing in them is wanted.
pub const PNG_CHUNK_BYTES: usize = 4 << 20;

/// Bytes of a PNG or a GIF that may be read beyond what its rows so far can take: tables, and headers of blocks and chunks.
pub const SPARE_BYTES: usize = 1 << 10;

/// The same for each row of a PNG: an encoder may end a block and a chunk with every row.
pub const PNG_ROW_SPARE_BYTES: usize = 64;

/// Bytes of a PNG that may be read ahead of its rows: its decoder keeps the last 32 KiB back, because data that follows may
/// refer to them. Twice that, for data that does not compress.
pub const PNG_AHEAD_BYTES: usize = 64 << 10;

/// How long the rows of a PNG may take. The slowest picture of [`SOURCE_PIXELS`] takes about a second. Deflate data that
/// begins a new block every few bytes takes up to half a microsecond a byte, so 30 s in a file of [`SOURCE_BYTES`], and no
/// limit on sizes tells it from other data.
pub const PNG_ROWS: Duration = Duration::from_secs(5);

/// Most prefix code groups of a lossless WebP. libwebp, which writes nearly all of them, uses 2600 at most; the format
/// allows 65536, and choosing among so many for every block of [`SOURCE_PIXELS`] takes seconds, for no cache holds them.
pub const WEBP_GROUPS: usize = 8192;

/// Most entries of two bytes in all tables of codes of a lossless WebP.
pub const WEBP_CODE_ENTRIES: usize = 16 << 20;

/// How often the worker may die while it decodes the same image, before that image fails without being decoded again. One
/// death may have had another cause.
pub const MAX_DECODINGS: u32 = 2;

/// How often the queue hands out a message before it gives it up: `maxReceiveCount` in `template.yaml`.
pub const MAX_RECEIVES: u32 = 5;

/// How often the time after which a job comes again is doubled. With 40 s at first, a store may be down for some ten
/// minutes before its jobs reach the dead-letter queue.
pub const RETRY_DOUBLINGS: u32 = 3;

/// How long after each other the jobs of one batch come again, so that each comes alone: longer than a poller of Lambda
/// takes to receive one.
pub const RETRY_APART: Duration = Duration::from_secs(2);

/// How often the sweeper sends a job again. Each time the job has twice as long as before: with a first grace period of 15
/// minutes the last one ends after 64 hours, when a store is back and a missing right is given. After that the image fails,
/// so that its letters in the dead-letter queue come to an end.
pub const MAX_RESENDS: u32 = 8;

/// Messages that one call hands to SQS, and messages whose visibility one call changes: what SQS takes.
pub const QUEUE_BATCH: usize = 10;

/// Rows that the sweeper finishes at once.
pub const SWEEP_BATCH: i64 = 500;

/// How long one run of the sweeper begins new batches, of lost jobs and of deletions together; the next run goes on from
/// there. Lambda ends the function, and the schedule starts the next run, after 15 minutes: the rest is for the batch that is
/// under way then.
pub const SWEEP_TIME: Duration = Duration::from_mins(10);

/// Documents of the original that are read at once when their files are brought into the bucket.
pub const ADOPTION_ROWS: i64 = 500;

/// Files of the original that are put at once: eight keep a line of 1 Gbit/s busy at S3's usual 20-50 ms a request.
pub const ADOPTION_PUTS: usize = 8;

/// How long putting one file of the original may take, all attempts together: the largest, 512 MB, at 5 Mbit/s.
pub const ADOPTION_PUT_TIMEOUT: Duration = Duration::from_mins(15);

/// Largest file of the original that is brought into the bucket: what S3 takes in one request. The original reads an
/// upload into one string of at most 512 MB, so it has none that is larger.
pub const ADOPTION_BYTES: u64 = 5 << 30;

/// Documents that the report of an adoption names for each reason; it counts the others.
pub const ADOPTION_FINDINGS: usize = 20;

/// How long the sweeper leaves a row alone that it cannot read: the log names the row once a day, until a person repairs it.
pub const UNREADABLE_ROW_DELAY: Duration = Duration::from_hours(24);

/// Objects that S3 deletes at once.
pub const DELETED_AT_ONCE: usize = 1000;

/// Multipart uploads that are looked for, and that are aborted, at the same time: one after the other, 500 rows would take
/// S3 some 20 s.
pub const ABORTED_AT_ONCE: usize = 16;

/// Rows that are read at once when ledger and bucket are compared; S3 gives up to 1000 objects at once.
pub const FSCK_ROWS: u32 = 500;

/// Findings of each kind that a comparison of ledger and bucket names; it counts the others. Some 100 bytes each, of the
/// 6 MB that a function may return.
pub const FSCK_FINDINGS: u32 = 1000;

/// How long one S3 listing may take, all attempts together.
pub const S3_LISTING: Duration = Duration::from_secs(10);

/// How long before the function's end a comparison stops, so that what was found is still told.
pub const FSCK_REPORT: Duration = Duration::from_secs(5);

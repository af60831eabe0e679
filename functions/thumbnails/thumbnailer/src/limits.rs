//! The limits of the decoders that are ours to choose. The other limits of the system stand in `shared::limits`.

use std::time::Duration;

/// Most pixels of a source image of another format than JPEG and PNG, by its header.
pub const MAX_SOURCE_PIXELS: u64 = 50_000_000;

/// Most pixels of a JPEG or a PNG, by its header. They are shrunk while they are decoded, so that their memory hardly grows
/// with their pixels.
pub const MAX_STREAMED_PIXELS: u64 = 250_000_000;

/// Most bytes of all rows of a PNG, decompressed, because decoding takes up to 2.7 ns a byte: 250 megapixels of grey, 200 of
/// RGB, 150 of RGBA.
pub const MAX_PNG_ROW_BYTES: u64 = 600_000_000;

/// Longest EXIF data that is read, in bytes. Cameras write less than 64 KiB, which is the most that a JPEG can hold.
pub const MAX_EXIF_BYTES: usize = 1 << 20;

/// Longest side of a source image, in pixels, by its header.
pub const MAX_SOURCE_SIDE: u32 = 16_384;

/// Most pixels of a thumbnail: those of the tallest one that is 500 pixels wide.
pub const MAX_THUMBNAIL_PIXELS: u64 = 500 * MAX_SOURCE_SIDE as u64;

/// Most pixels that are kept of a source image while it is shrunk. An image that is tall and narrow is shrunk to less than
/// twice the size of its thumbnail, before Lanczos resizing does the rest.
pub const MAX_SHRUNK_PIXELS: u64 = 6_300_000;

/// Most scans of a JPEG. A progressive JPEG has about ten. Each scan costs time, however little data it has.
pub const MAX_JPEG_SCANS: u32 = 100;

/// Most scans of a progressive JPEG that code the same coefficient: one scan for each of its bits, which ITU-T T.81 numbers
/// from 0 to 13. A scan that codes the bits of an earlier scan adds nothing, and costs as much time.
pub const MAX_JPEG_SCANS_PER_COEFFICIENT: u32 = 14;

/// Most Huffman tables that a JPEG defines for one scan. A scan uses eight at most. The rest is room for files that define
/// the same tables again and again.
pub const MAX_JPEG_HUFFMAN_TABLES: u32 = 64;

/// Longest colour profile that is applied, in bytes. Profiles of printing presses have up to 9 MB. A longer profile is
/// ignored.
pub const MAX_PROFILE_BYTES: usize = 10 << 20;

/// Most tags of a colour profile that is applied: as many as Little CMS reads. Any number of tags may refer to the same
/// data, which is copied for each tag.
pub const MAX_PROFILE_TAGS: u32 = 100;

/// Longest colour profile of a PNG, decompressed, in bytes. Profiles of RGB and grey have some hundred kB at most.
pub const MAX_PNG_PROFILE_BYTES: usize = 2 << 20;

/// Most memory for the other chunks of a PNG, in bytes. Their content is not used.
pub const MAX_PNG_CHUNK_BYTES: usize = 4 << 20;

/// Bytes of a PNG or a GIF that may be read in addition to the bytes that the rows so far can need: tables, and headers of
/// blocks and chunks.
pub const READ_SLACK_BYTES: usize = 1 << 10;

/// Additional bytes for each row of a PNG, because an encoder may end a block and a chunk with every row.
pub const PNG_ROW_SLACK_BYTES: usize = 64;

/// Bytes of a PNG that may be read ahead of its rows. The decoder keeps the last 32 KiB back, because later data may refer
/// to them. The limit is twice that, for data that does not compress.
pub const PNG_READ_AHEAD_BYTES: usize = 64 << 10;

/// How long decoding the rows of a PNG may take. The slowest picture of
/// [`MAX_PNG_ROW_BYTES`] takes 1.6 s of processor time. Deflate
/// data that begins a new block every few bytes takes up to half a microsecond a byte, which is 30 s in the largest file
/// that the worker reads (`SOURCE_BYTES` in `shared::limits`), and no limit on sizes tells it from other data.
pub const PNG_ROWS_TIMEOUT: Duration = Duration::from_secs(5);

/// Most prefix code groups of a lossless WebP. libwebp, which writes nearly all files, uses 2600 at most. The format allows
/// 65536, but choosing among so many for every block of [`MAX_SOURCE_PIXELS`] takes seconds, because no cache holds them.
pub const MAX_WEBP_PREFIX_CODE_GROUPS: usize = 8192;

/// Most entries, of two bytes each, in all prefix code tables of a lossless WebP.
pub const MAX_WEBP_CODE_ENTRIES: usize = 16 << 20;

/// Longest `meta` box of a HEIC file, in bytes. It contains the colour profile.
pub const MAX_HEIF_META_BYTES: usize = MAX_PROFILE_BYTES + (2 << 20);

/// Most items of a HEIC file, and most properties, and most references. A picture of a phone has some hundred.
pub const MAX_HEIF_ENTRIES: usize = 4096;

/// Most tiles of a picture. Cameras use tiles of 512 x 512 pixels, of which [`MAX_HEIC_PIXELS`] has about 200.
pub const MAX_HEIF_TILES: usize = 1024;

/// Most pixels that a byte of coded data stands for. One colour takes a byte for 43 thousand pixels.
pub const HEIF_PIXELS_PER_BYTE: u64 = 1 << 17;

/// How many samples of luma and chroma take as much time as one byte of coded data. Decoding takes about 11 ns a sample and
/// 100 ns a byte.
pub const HEIF_SAMPLES_PER_BYTE: u64 = 9;

/// Most work of decoding a HEIC picture, in the time of one sample, which is two seconds. A picture of 48 megapixels
/// may have 11 MB, and one of 12 megapixels 17 MB.
pub const MAX_HEIF_WORK: u64 = 175_000_000;

/// Most pixels of a picture whose thumbnails are hardly smaller than it, and which is decoded with all filters, for the best
/// quality. The filters take half as much memory again.
pub const MAX_FILTERED_PIXELS: u64 = 4_000_000;

/// Most pixels of a HEIC picture.
pub const MAX_HEIC_PIXELS: u64 = MAX_SOURCE_PIXELS;

/// Most samples of luma and chroma that are decoded at once, which is of one tile of a HEIC picture, or of all of a picture
/// without tiles. The decoder takes six bytes a sample.
pub const MAX_HEVC_SAMPLES: u64 = 32_000_000;

/// Most pixels of a bitmap in an ICO file, which is held whole. Windows shows pictures of 256 x 256 pixels at most.
pub const MAX_ICON_PIXELS: u64 = 1 << 20;

/// Most fields of a directory of a TIFF. Cameras write about a hundred.
pub const MAX_TIFF_FIELDS: u64 = 4096;

/// Most samples of a pixel of a TIFF. The samples that are not used cost time too.
pub const MAX_TIFF_SAMPLES: u64 = 16;

/// Fewest pixels of a tile of a TIFF. The standard demands sides that are multiples of 16, and each tile costs time.
pub const MIN_TIFF_TILE_PIXELS: u64 = 16 * 16;

/// Most pixels of a JPEG that is one of several strips or tiles of a TIFF. Each is decoded whole.
pub const MAX_TIFF_JPEG_TILE_PIXELS: u64 = 4 << 20;

/// Most pixels of a TIFF that consists of several JPEGs, which takes a second.
pub const MAX_TIFF_JPEG_PIXELS: u64 = 24_000_000;

/// Additional bytes for each row of a TIFF, as for [`PNG_ROW_SLACK_BYTES`].
pub const TIFF_ROW_SLACK_BYTES: usize = 64;

/// How long unpacking a TIFF may take, as for [`PNG_ROWS_TIMEOUT`].
pub const TIFF_ROWS_TIMEOUT: Duration = PNG_ROWS_TIMEOUT;

/// Most pixels of a JPEG XL that is rendered in bands, which takes a second and a half. If only the LF image of a JPEG XL is
/// decoded, the limit is [`MAX_SOURCE_PIXELS`].
pub const MAX_JXL_PIXELS: u64 = 16_000_000;

/// Most pixels of a JPEG XL that is rendered whole, because it is lossless or has alpha or several frames. That takes up to
/// two seconds, and 24 bytes for each pixel.
pub const MAX_JXL_WHOLE_PIXELS: u64 = 2048 * 2048;

/// Most pixels of a JPEG XL that are rendered at once. Each takes about 24 bytes.
pub const JXL_BAND_PIXELS: u32 = 4_000_000;

/// Most memory for a JPEG XL, with two copies of its codestream.
pub const MAX_JXL_BYTES: usize = 230 << 20;

/// Most frames of a JPEG XL that the first frame of its animation consists of.
pub const MAX_JXL_FRAMES: usize = 16;

/// Most extra channels of a JPEG XL, such as alpha and depth. All of them are decoded.
pub const MAX_JXL_EXTRA_CHANNELS: usize = 4;

/// Longest colour profile of a JPEG XL, in bytes.
pub const MAX_JXL_PROFILE_BYTES: usize = 4 << 20;

/// How long rendering a JPEG XL may take. The time is checked after each band. A picture of [`MAX_JXL_PIXELS`] takes about
/// two seconds.
pub const JXL_TIMEOUT: Duration = PNG_ROWS_TIMEOUT;

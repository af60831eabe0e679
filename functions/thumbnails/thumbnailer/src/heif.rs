//! HEIC: pictures that are coded as HEVC, in a HEIF file (ISO/IEC 23008-12). Cameras store a picture as a grid of tiles. Each
//! row of tiles is shrunk when it is decoded, so that memory never holds more than one row.

use std::borrow::Cow;

use image::metadata::Orientation;
use moxcms::ColorProfile;

use crate::limits::{
    HEIF_PIXELS_PER_BYTE, HEIF_SAMPLES_PER_BYTE, MAX_FILTERED_PIXELS, MAX_HEIC_PIXELS, MAX_HEIF_TILES, MAX_HEIF_WORK,
    MAX_PROFILE_BYTES,
};

use super::{
    ColorType, Content, Decoded, ImageError, OutputFormat, Pixels, Target, check_size,
    color::unpremultiply,
    damaged,
    exif::Exif,
    planes::{self, Matrix, Plane},
    resize,
    shrink::Shrinker,
};
use boxes::{Meta, Reader};
use frame::Frame;

mod boxes;
mod frame;
mod hevc;

/// Decodes the primary item. The orientation in EXIF data is ignored, as ISO/IEC 23008-12 says, because the properties of
/// the item say how it is turned.
pub fn decode(source: &[u8], max_width: u32, heic: bool) -> Result<Decoded, ImageError> {
    let meta = Meta::parse(source)?;
    let picture = Picture::find(&meta, meta.primary, heic)?;
    let header = picture.header()?;
    let Transform { window, orientation } = Transform::read(&meta, picture.size)?;
    let target = Target::new((window.width, window.height), orientation, max_width);
    let color = Color::read(&meta, meta.primary, picture.tiles.first().map(|tile| tile.id), header.cicp);
    let matrix = color.cicp.matrix()?;
    let is_small = u64::from(picture.size.0) * u64::from(picture.size.1) <= MAX_FILTERED_PIXELS;
    let quality = if is_small && target.scale > 0.5 { Quality::Best } else { Quality::Fast };
    let taken_at = taken_at(&meta);
    let source = Source { picture, header, window, quality };
    let icc = color.icc();
    let alpha = find_alpha(&meta, heic)?;
    check_work(source.picture.size, source.work() + alpha.as_ref().map_or(0, |(alpha, _)| alpha.work(2)))?;
    let Some((alpha, is_premultiplied)) = alpha else {
        let color_type = if source.header.subsampling.is_some() { ColorType::Rgb } else { ColorType::Grey };
        let pixels = planes::merge_by_matrix(source.shrink_planes(&target)?, &matrix, target.size)?;
        return Ok(Decoded {
            target,
            content: Content::Pixels(pixels),
            color_type,
            icc,
            taken_at,
            format: OutputFormat::Jpeg,
        });
    };
    if alpha.size != source.picture.size {
        return Err(damaged("its alpha has another size"));
    }
    let alpha = Source { header: alpha.header()?, picture: alpha, ..source };
    let alpha = Alpha { samples: alpha.read_luma()?, is_premultiplied };
    let pixels = source.shrink_pixels(&target, &matrix, &alpha)?;
    let pixels = resize::rgba(pixels, target.size, true)?.rgba;
    Ok(Decoded {
        target,
        content: Content::Pixels(pixels),
        color_type: ColorType::Rgba,
        icc,
        taken_at,
        format: OutputFormat::Png,
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Quality {
    Best,
    /// Without the filters whose effect a picture that is made much smaller does not show.
    Fast,
}

/// The properties of a coded picture that are read before the picture is decoded.
#[derive(Clone, Copy)]
struct Header {
    subsampling: Subsampling,
    cicp: Cicp,
}

/// The samples of luma for one sample of chroma, across and down. None if there is no chroma.
type Subsampling = Option<(u32, u32)>;

/// The code points of ITU-T H.273 that say what the samples mean.
#[derive(Clone, Copy)]
struct Cicp {
    primaries: u16,
    matrix: u16,
    full_range: bool,
}

impl Cicp {
    fn matrix(self) -> Result<Matrix, ImageError> {
        Matrix::new(self.matrix, self.primaries, self.full_range).ok_or(ImageError::UnsupportedFormat)
    }
}

/// A coded item: a whole picture, or a tile of one.
struct Tile<'a> {
    id: u32,
    /// The property that configures the decoder.
    config: &'a [u8],
    size: (u32, u32),
    data: Cow<'a, [u8]>,
}

impl<'a> Tile<'a> {
    fn find(meta: &Meta<'a>, id: u32, heic: bool) -> Result<Self, ImageError> {
        match meta.kind(id) {
            Some(b"hvc1" | b"hev1") if heic => {}
            Some(b"hvc1" | b"hev1") => return Err(ImageError::HeicOff),
            _ => return Err(ImageError::UnsupportedFormat),
        }
        let size = item_size(meta, id)?;
        check_size(size.0, size.1, MAX_HEIC_PIXELS)?;
        let config = meta.property(id, *b"hvcC").ok_or_else(|| damaged("it has no configuration of its decoder"))?;
        let data = meta.data(id)?;
        if u64::from(size.0) * u64::from(size.1) > data.len() as u64 * HEIF_PIXELS_PER_BYTE {
            return Err(damaged("it has less data than its pixels need"));
        }
        Ok(Self { id, config, size, data })
    }

    fn header(&self) -> Result<Header, ImageError> {
        hevc::Config::parse(self.config)?.header(self.size)
    }

    fn decode(&self, quality: Quality) -> Result<Frame, ImageError> {
        let config = hevc::Config::parse(self.config)?;
        config.header(self.size)?;
        config.decode(&self.data, quality)
    }
}

/// The `ispe` property.
fn item_size(meta: &Meta, id: u32) -> Result<(u32, u32), ImageError> {
    let mut reader = Reader(meta.property(id, *b"ispe").and_then(|body| body.get(4..)).unwrap_or_default());
    reader.u32().zip(reader.u32()).ok_or_else(|| damaged("an item without a size"))
}

/// A picture: one tile, or a grid of tiles, row by row.
struct Picture<'a> {
    size: (u32, u32),
    columns: usize,
    tiles: Vec<Tile<'a>>,
}

impl<'a> Picture<'a> {
    fn find(meta: &Meta<'a>, id: u32, heic: bool) -> Result<Self, ImageError> {
        if meta.kind(id) != Some(b"grid") {
            let tile = Tile::find(meta, id, heic)?;
            return Ok(Self { size: tile.size, columns: 1, tiles: vec![tile] });
        }
        let (rows, columns, size) = read_grid(&meta.data(id)?).ok_or_else(|| damaged("its grid"))?;
        check_size(size.0, size.1, MAX_HEIC_PIXELS)?;
        let ids: Vec<u32> = meta.referred_by(id, *b"dimg").take(MAX_HEIF_TILES + 1).collect();
        if ids.len() != rows * columns || ids.len() > MAX_HEIF_TILES {
            return Err(damaged(format!("{} tiles in a grid of {rows} x {columns}", ids.len())));
        }
        let tile_size = item_size(meta, ids[0])?;
        let fits = |tile: u32, count: usize, whole: u32| {
            (u64::from(tile) * (count as u64 - 1)..u64::from(tile) * count as u64).contains(&whole.into())
        };
        if !fits(tile_size.0, columns, size.0 - 1) || !fits(tile_size.1, rows, size.1 - 1) {
            return Err(damaged("the tiles do not fit the grid"));
        }
        let (mut tiles, mut bytes) = (Vec::new(), 0);
        for id in ids {
            let tile = Tile::find(meta, id, heic)?;
            bytes += tile.data.len();
            // Tiles of which many share the same data would take more time than a file of this length otherwise can.
            if tile.size != tile_size || bytes > meta.source.len() {
                return Err(damaged("the tiles do not fit the grid"));
            }
            tiles.push(tile);
        }
        Ok(Self { size, columns, tiles })
    }

    /// See [`check_work`]. `halves` is half the number of samples of a pixel.
    fn work(&self, halves: u64) -> u64 {
        let bytes: usize = self.tiles.iter().map(|tile| tile.data.len()).sum();
        u64::from(self.size.0) * u64::from(self.size.1) * halves / 2 + bytes as u64 * HEIF_SAMPLES_PER_BYTE
    }

    /// The header of the first tile.
    fn header(&self) -> Result<Header, ImageError> {
        let header = self.tiles.first().ok_or_else(|| damaged("it has no tiles"))?.header()?;
        let (width, height) = self.tiles[0].size;
        if self.tiles.len() > 1
            && let Some((x, y)) = header.subsampling
            && (!width.is_multiple_of(x) || !height.is_multiple_of(y))
        {
            return Err(damaged("a sample of chroma belongs to two tiles"));
        }
        Ok(header)
    }
}

/// Checks how long decoding takes, in the time of one sample.
fn check_work((width, height): (u32, u32), work: u64) -> Result<(), ImageError> {
    if work > MAX_HEIF_WORK {
        let limit = u64::from(width) * u64::from(height) * MAX_HEIF_WORK / work;
        return Err(ImageError::TooManyPixels { width, height, limit });
    }
    Ok(())
}

/// The rows and columns of a grid, and the size of the whole picture.
fn read_grid(data: &[u8]) -> Option<(usize, usize, (u32, u32))> {
    let mut reader = Reader(data);
    let head = reader.take(4)?;
    let bytes = if head[1] & 1 == 0 { 2 } else { 4 };
    let size = (reader.uint(bytes)? as u32, reader.uint(bytes)? as u32);
    Some((usize::from(head[2]) + 1, usize::from(head[3]) + 1, size))
}

/// The part of a picture that is shown.
#[derive(Clone, Copy)]
struct Window {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

/// The effect of the primary item's properties on the decoded picture.
struct Transform {
    window: Window,
    orientation: Orientation,
}

impl Transform {
    fn read(meta: &Meta, (width, height): (u32, u32)) -> Result<Self, ImageError> {
        let mut window = Window { left: 0, top: 0, width, height };
        // Quarter turns clockwise, and then whether left and right are exchanged.
        let (mut turns, mut is_mirrored) = (0, false);
        for (kind, body) in meta.properties(meta.primary) {
            let mut turn =
                |quarters: u8| turns = (if is_mirrored { turns + 4 - quarters } else { turns + quarters }) % 4;
            match (kind, body) {
                // Quarter turns anticlockwise.
                (b"irot", [angle, ..]) => turn((4 - (angle & 3)) % 4),
                (b"imir", [axis, ..]) => {
                    // To exchange top and bottom is to turn by half, and to exchange left and right.
                    turn(if axis & 1 == 0 { 2 } else { 0 });
                    is_mirrored = !is_mirrored;
                }
                (b"clap", _) if (turns, is_mirrored) == (0, false) => {
                    window = clean_aperture(body, window).ok_or_else(|| damaged("its clean aperture"))?;
                }
                (b"clap", _) => return Err(damaged("a clean aperture after a rotation")),
                _ => {}
            }
        }
        let orientation = match (turns, is_mirrored) {
            (0, false) => Orientation::NoTransforms,
            (1, false) => Orientation::Rotate90,
            (2, false) => Orientation::Rotate180,
            (_, false) => Orientation::Rotate270,
            (0, true) => Orientation::FlipHorizontal,
            (1, true) => Orientation::Rotate90FlipH,
            (2, true) => Orientation::FlipVertical,
            (_, true) => Orientation::Rotate270FlipH,
        };
        Ok(Self { window, orientation })
    }
}

/// The part that the `clap` property shows. Its size, and the distance of its middle from the middle of the picture, are
/// fractions.
fn clean_aperture(body: &[u8], whole: Window) -> Option<Window> {
    let mut reader = Reader(body);
    let mut fraction = || {
        let (numerator, denominator) = (reader.u32()?.cast_signed(), reader.u32()?);
        (denominator != 0).then(|| f64::from(numerator) / f64::from(denominator))
    };
    let [width, height, right, down] = [fraction()?, fraction()?, fraction()?, fraction()?];
    let axis = |start: u32, whole: u32, size: f64, offset: f64| {
        let size = size.floor();
        let from = ((f64::from(whole) - size) / 2.0 + offset).floor();
        let is_inside = size >= 1.0 && from >= 0.0 && from + size <= f64::from(whole);
        is_inside.then_some((start + from as u32, size as u32))
    };
    let (left, width) = axis(whole.left, whole.width, width, right)?;
    let (top, height) = axis(whole.top, whole.height, height, down)?;
    Some(Window { left, top, width, height })
}

/// The colours that the properties of an item describe.
struct Color<'a> {
    cicp: Cicp,
    profile: Option<&'a [u8]>,
}

impl<'a> Color<'a> {
    /// `coded` is what the coded picture says, which holds if the container says nothing. A grid may leave the description
    /// to its tiles.
    fn read(meta: &Meta<'a>, id: u32, tile: Option<u32>, coded: Cicp) -> Self {
        let (mut cicp, mut profile) = (None, None);
        for (kind, body) in [Some(id), tile].into_iter().flatten().flat_map(|id| meta.properties(id)) {
            match (kind, body.split_first_chunk()) {
                (b"colr", Some((b"nclx", body))) if cicp.is_none() => cicp = read_nclx(body),
                (b"colr", Some((b"prof" | b"rICC", body))) if profile.is_none() => profile = Some(body),
                _ => {}
            }
        }
        let profile = profile.filter(|profile| profile.len() <= MAX_PROFILE_BYTES);
        Self { cicp: cicp.unwrap_or(coded), profile }
    }

    /// The profile of the file, or that of the primaries that the file names.
    fn icc(&self) -> Option<Vec<u8>> {
        match (self.profile, self.cicp.primaries) {
            (Some(profile), _) => Some(profile.to_vec()),
            (None, 9) => ColorProfile::new_bt2020().encode().ok(),
            (None, 12) => ColorProfile::new_display_p3().encode().ok(),
            (None, _) => None,
        }
    }
}

fn read_nclx(body: &[u8]) -> Option<Cicp> {
    let mut reader = Reader(body);
    let [primaries, _, matrix] = [reader.uint(2)?, reader.uint(2)?, reader.uint(2)?];
    let full_range = reader.uint(1)? >> 7 == 1;
    Some(Cicp { primaries: primaries as u16, matrix: matrix as u16, full_range })
}

/// See [`Decoded::taken_at`].
fn taken_at(meta: &Meta) -> Option<String> {
    let id = meta.referring_to(meta.primary, *b"cdsc").find(|id| meta.kind(*id) == Some(b"Exif"))?;
    let data = meta.data(id).ok()?;
    // The distance from here to the TIFF structure.
    let mut reader = Reader(&data);
    let distance = reader.u32()? as usize;
    Exif::parse(reader.0.get(distance..)?).taken_at
}

/// The alpha of the primary item, and whether its colours are multiplied by it.
fn find_alpha<'a>(meta: &Meta<'a>, heic: bool) -> Result<Option<(Picture<'a>, bool)>, ImageError> {
    let is_alpha = |id: &u32| {
        let kind = meta.property(*id, *b"auxC").and_then(|body| body.get(4..)).unwrap_or_default();
        let kind = kind.split(|byte| *byte == 0).next().unwrap_or_default();
        kind == b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha" || kind == b"urn:mpeg:hevc:2015:auxid:1"
    };
    let Some(id) = meta.referring_to(meta.primary, *b"auxl").find(is_alpha) else { return Ok(None) };
    let is_premultiplied = meta.referred_by(meta.primary, *b"prem").any(|to| to == id);
    Ok(Some((Picture::find(meta, id, heic)?, is_premultiplied)))
}

/// A picture, and the part of it that is shown.
struct Source<'a> {
    picture: Picture<'a>,
    header: Header,
    window: Window,
    quality: Quality,
}

impl Source<'_> {
    /// Decodes the picture, row of tiles by row of tiles. `each` gets the number of a plane, and a row of it with its
    /// index. The rows of chroma come before the first row of luma that they belong to.
    fn for_each_row(&self, planes: &[usize], mut each: impl FnMut(usize, usize, &mut [u8])) -> Result<(), ImageError> {
        let (Picture { size, columns, tiles }, window) = (&self.picture, self.window);
        let tile_height = tiles.first().map_or(0, |tile| tile.size.1);
        let mut row = vec![0; size.0 as usize];
        for (index, tiles) in tiles.chunks(*columns).enumerate() {
            let first = index as u32 * tile_height;
            let rows = first.max(window.top)..(first + tile_height).min(window.top + window.height);
            if rows.is_empty() {
                continue;
            }
            let frames = tiles.iter().map(|tile| self.decode(tile)).collect::<Result<Vec<_>, _>>()?;
            for y in rows {
                for &plane in planes {
                    let (x_step, y_step) = self.steps(plane);
                    let at = y / y_step - window.top / y_step;
                    if y != window.top && !y.is_multiple_of(y_step) || at >= window.height.div_ceil(y_step) {
                        continue;
                    }
                    let row = &mut row[..size.0.div_ceil(x_step) as usize];
                    for (part, frame) in row.chunks_mut(tiles[0].size.0.div_ceil(x_step) as usize).zip(&frames) {
                        frame.copy_row(plane, (y / y_step - first / y_step) as usize, part);
                    }
                    let shown = &mut row[(window.left / x_step) as usize..][..window.width.div_ceil(x_step) as usize];
                    each(plane, at as usize, shown);
                }
            }
        }
        Ok(())
    }

    /// See [`check_work`].
    fn work(&self) -> u64 {
        let chroma = self.header.subsampling.map_or(0, |(x, y)| 4 / (x * y));
        self.picture.work(2 + u64::from(chroma))
    }

    fn decode(&self, tile: &Tile) -> Result<Frame, ImageError> {
        let frame = tile.decode(self.quality)?;
        let is_whole = frame.size.0 >= tile.size.0 as usize && frame.size.1 >= tile.size.1 as usize;
        if is_whole && frame.subsampling == self.header.subsampling {
            Ok(frame)
        } else {
            Err(damaged("its tiles differ"))
        }
    }

    /// The planes that have colours, in the order of [`Self::for_each_row`].
    fn planes(&self) -> &'static [usize] {
        if self.header.subsampling.is_some() { &[1, 2, 0] } else { &[0] }
    }

    /// The samples of luma for one sample of a plane, across and down.
    fn steps(&self, plane: usize) -> (u32, u32) {
        if plane == 0 { (1, 1) } else { self.header.subsampling.unwrap_or((1, 1)) }
    }

    /// The planes, shrunk.
    fn shrink_planes(&self, target: &Target) -> Result<Vec<Plane>, ImageError> {
        let targets = [0, 1, 2].map(|plane| {
            let (x, y) = self.steps(plane);
            let part = |size: (u32, u32)| (size.0.div_ceil(x), size.1.div_ceil(y));
            Target { source_size: part(target.source_size), size: part(target.size), ..*target }
        });
        let mut shrinkers: Vec<_> =
            targets[..self.planes().len()].iter().map(|target| Shrinker::new(target, 1)).collect();
        self.for_each_row(self.planes(), |plane, y, row| shrinkers[plane].add_row(y, row))?;
        let planes = shrinkers.into_iter().zip(targets).enumerate().map(|(plane, (shrinker, part))| {
            let (steps, mut plane) = (self.steps(plane), shrinker.into_plane());
            // The last sample of chroma may cover fewer pixels than the others.
            let covered = |extent: f64, whole: u32, step: u32, part: u32| {
                extent * f64::from(whole) / f64::from(step) / f64::from(part)
            };
            plane.extent = (
                covered(plane.extent.0, target.source_size.0, steps.0, part.source_size.0),
                covered(plane.extent.1, target.source_size.1, steps.1, part.source_size.1),
            );
            plane
        });
        Ok(planes.collect())
    }

    /// Luma at its full size, as alpha needs it.
    fn read_luma(&self) -> Result<Vec<u8>, ImageError> {
        let mut luma = Vec::with_capacity(self.window.width as usize * self.window.height as usize);
        self.for_each_row(&[0], |_, _, row| luma.extend_from_slice(row))?;
        Ok(luma)
    }

    /// The pixels with their alpha, shrunk. They are shrunk together, so that the colours of transparent pixels do not
    /// bleed into their neighbours.
    fn shrink_pixels(&self, target: &Target, matrix: &Matrix, alpha: &Alpha) -> Result<Pixels, ImageError> {
        let (width, x_step) = (self.window.width as usize, self.steps(1).0 as usize);
        let mut shrinker = Shrinker::new(target, 4);
        let (mut cb, mut cr, mut pixels) = (vec![128; width], vec![128; width], vec![0; 4 * width]);
        self.for_each_row(self.planes(), |plane, y, row| match plane {
            0 => {
                let (chunks, _) = pixels.as_chunks_mut();
                let opacities = &alpha.samples[y * width..];
                for (x, ((pixel, luma), opacity)) in chunks.iter_mut().zip(&*row).zip(opacities).enumerate() {
                    let [r, g, b] = matrix.rgb([*luma, cb[x / x_step], cr[x / x_step]]);
                    *pixel = alpha.pixel([r, g, b], *opacity);
                }
                shrinker.add_row(y, &mut pixels);
            }
            1 => cb[..row.len()].copy_from_slice(row),
            _ => cr[..row.len()].copy_from_slice(row),
        })?;
        Ok(shrinker.into_pixels())
    }
}

/// The opacity of each pixel.
struct Alpha {
    samples: Vec<u8>,
    /// True if the colours of the picture are multiplied by it.
    is_premultiplied: bool,
}

impl Alpha {
    fn pixel(&self, rgb: [u8; 3], opacity: u8) -> [u8; 4] {
        let [r, g, b] =
            if self.is_premultiplied { rgb.map(|color| unpremultiply(color.into(), opacity.into())) } else { rgb };
        [r, g, b, opacity]
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Request, *};

    fn boxed(kind: [u8; 4], body: &[&[u8]]) -> Vec<u8> {
        let body = body.concat();
        [&(8 + body.len() as u32).to_be_bytes()[..], &kind, &body].concat()
    }

    fn numbers(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    /// A file of one item of 64 x 48 pixels, with these properties besides its size. Its data is in the box `idat`.
    fn file(kind: [u8; 4], properties: &[Vec<u8>], data: &[u8]) -> Vec<u8> {
        let size = boxed(*b"ispe", &[&numbers(&[0, 64, 48])]);
        let properties = [&[size], properties].concat();
        let indices: Vec<u8> = (1..=properties.len() as u8).collect();
        let association = [&[0; 4][..], &numbers(&[1]), &[0, 1, indices.len() as u8], &indices].concat();
        let meta = [
            boxed(*b"pitm", &[&[0; 4], &[0, 1]]),
            boxed(*b"iinf", &[&[0; 4], &[0, 1], &boxed(*b"infe", &[&[2, 0, 0, 0, 0, 1, 0, 0], &kind, &[0]])]),
            boxed(*b"iprp", &[&boxed(*b"ipco", &[&properties.concat()]), &boxed(*b"ipma", &[&association])]),
            boxed(*b"iloc", &[&[1, 0, 0, 0, 0x44, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 1], &numbers(&[0, data.len() as u32])]),
            boxed(*b"idat", &[data]),
        ];
        [boxed(*b"ftyp", &[b"heic", &[0; 4]]), boxed(*b"meta", &[&[0; 4], &meta.concat()])].concat()
    }

    fn transform(properties: &[Vec<u8>]) -> Result<Transform, ImageError> {
        Transform::read(&Meta::parse(&file(*b"hvc1", properties, b"data")).unwrap(), (64, 48))
    }

    fn clap(numbers_of_it: [i32; 8]) -> Vec<u8> {
        boxed(*b"clap", &[&numbers(&numbers_of_it.map(i32::cast_unsigned))])
    }

    #[test]
    fn heic_is_decoded_only_if_the_request_allows_it() {
        let make = |kind: &[u8; 4], heic| {
            super::super::make(&file(*kind, &[], b"data"), Request { widths: &[100], heic }).err()
        };
        assert_eq!(make(b"hvc1", false).unwrap().to_string(), "HEIC is switched off");
        assert_eq!(make(b"hvc1", true).unwrap().to_string(), "damaged image: it has no configuration of its decoder");
        assert_eq!(make(b"av01", false).unwrap().to_string(), "unsupported format");
        assert_eq!(make(b"jpeg", true).unwrap().to_string(), "unsupported format");
    }

    #[test]
    fn the_properties_turn_a_picture_in_their_order() {
        let (irot, imir) = (|angle| boxed(*b"irot", &[&[angle]]), |axis| boxed(*b"imir", &[&[axis]]));
        for (properties, orientation) in [
            (vec![], Orientation::NoTransforms),
            (vec![irot(0)], Orientation::NoTransforms),
            (vec![irot(1)], Orientation::Rotate270),
            (vec![irot(2)], Orientation::Rotate180),
            (vec![irot(3)], Orientation::Rotate90),
            (vec![imir(0)], Orientation::FlipVertical),
            (vec![imir(1)], Orientation::FlipHorizontal),
            (vec![irot(1), imir(1)], Orientation::Rotate270FlipH),
            (vec![imir(1), irot(1)], Orientation::Rotate90FlipH),
            (vec![irot(3), imir(0)], Orientation::Rotate270FlipH),
        ] {
            assert_eq!(transform(&properties).unwrap().orientation, orientation, "{properties:?}");
        }
    }

    #[test]
    fn a_clean_aperture_is_inside_the_picture() {
        for (aperture, window) in [
            ([64, 1, 48, 1, 0, 1, 0, 1], Some((0, 0, 64, 48))),
            ([32, 1, 16, 1, 16, 1, -16, 1], Some((32, 0, 32, 16))),
            ([63, 1, 47, 1, -1, 2, 1, 2], Some((0, 1, 63, 47))),
            ([63, 1, 47, 1, 2, 1, 2, 1], None),
            ([0, 1, 16, 1, 0, 1, 0, 1], None),
            ([-4, 1, 16, 1, 0, 1, 0, 1], None),
            ([64, 0, 48, 1, 0, 1, 0, 1], None),
        ] {
            let read = transform(&[clap(aperture)]).map(|transform| transform.window);
            let read = read.ok().map(|Window { left, top, width, height }| (left, top, width, height));
            assert_eq!(read, window, "{aperture:?}");
        }
    }

    #[test]
    fn data_is_inside_the_file() {
        let whole = file(*b"av01", &[], b"data");
        assert_eq!(*Meta::parse(&whole).unwrap().data(1).unwrap(), *b"data");
        // The length of the item is before the box `idat`.
        let mut longer = whole.clone();
        let at = longer.len() - 13;
        longer[at] = 5;
        assert!(Meta::parse(&longer).unwrap().data(1).is_err());
        for length in 0..whole.len() {
            assert!(Meta::parse(&whole[..length]).is_err(), "{length}");
        }
    }
}

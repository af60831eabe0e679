//! Pictures that are coded as HEVC (ITU-T H.265), with the decoder of the crate `heic-decoder`.

use heic_decoder::{
    ColorInfo, HeifError,
    bitreader::{ebsp_lens_to_rbsp_lens, rbsp_len_to_ebsp_pos, strip_emulation_prevention},
    decode_one_image,
    hevc::{
        ctu::{self, Picture, decode_slice},
        nal::{NAL_PPS, NAL_SPS, is_irap_nal, is_slice_nal, parse_nal_header},
        params::{Pps, Sps, parse_pps, parse_sps},
        slice::{SliceHeader, parse_slice_header},
    },
    isobmff::{HevcDecoderConfig, HevcNalArray, ResolvedImage, split_length_prefixed_nalus},
};

use crate::limits::MAX_HEVC_SAMPLES;

use super::{
    super::{ImageError, damaged},
    Cicp, Header, Quality, Subsampling,
    boxes::Reader,
    frame::{Frame, Plane},
};

/// The parameter sets of a picture.
pub struct Config {
    record: HevcDecoderConfig,
    sps: Sps,
    pps: Pps,
}

impl Config {
    /// Parses the `hvcC` property (ISO/IEC 14496-15).
    pub fn parse(property: &[u8]) -> Result<Self, ImageError> {
        let record = read_record(property).ok_or_else(|| damaged("its hvcC box"))?;
        let sps = parse_sps(&parameter_set(&record, NAL_SPS)?).map_err(refused)?;
        let pps = parse_pps(&parameter_set(&record, NAL_PPS)?).map_err(refused)?;
        if sps.chroma_format_idc > 3 || pps.tiles_enabled && (pps.num_tile_columns, pps.num_tile_rows) != (1, 1) {
            return Err(ImageError::UnsupportedFormat);
        }
        let excess = [sps.bit_depth_luma, sps.bit_depth_chroma].map(|depth| depth.saturating_sub(10));
        if pps.sao_offset_scale[0] > excess[0] || pps.sao_offset_scale[1] > excess[1] {
            return Err(damaged("its parameter sets"));
        }
        Ok(Self { record, sps, pps })
    }

    /// The header by the sequence parameter set. `size` is the size in the container.
    pub fn header(&self, size: (u32, u32)) -> Result<Header, ImageError> {
        let Sps { pic_width_in_luma_samples: width, pic_height_in_luma_samples: height, .. } = self.sps;
        // A picture is coded in blocks of 64 x 64 samples at most.
        if width < size.0 || height < size.1 || width >= size.0 + 64 || height >= size.1 + 64 {
            return Err(damaged("two sizes"));
        }
        let subsampling = self.subsampling();
        let chroma = subsampling.map_or(0, |(x, y)| 2 * u64::from(width) * u64::from(height) / u64::from(x * y));
        if u64::from(width) * u64::from(height) + chroma > MAX_HEVC_SAMPLES {
            return Err(ImageError::TooManyPixels { width, height, limit: MAX_HEVC_SAMPLES * 2 / 3 });
        }
        let cicp = self.sps.color_info.map(|color| {
            let ColorInfo { color_primaries, transfer_characteristics: _, matrix_coefficients, full_range } = color;
            Cicp { primaries: color_primaries, matrix: matrix_coefficients, full_range }
        });
        // Without a description, the range is limited.
        let cicp = cicp.unwrap_or(Cicp { primaries: 2, matrix: 2, full_range: false });
        Ok(Header { subsampling, cicp })
    }

    fn subsampling(&self) -> Subsampling {
        (self.sps.chroma_format_idc != 0).then(|| (self.sps.sub_width_c(), self.sps.sub_height_c()))
    }

    pub fn decode(self, data: &[u8], quality: Quality) -> Result<Frame, ImageError> {
        let (window, subsampling) = (self.sps.conformance_window, self.subsampling());
        let depths = [self.sps.bit_depth_luma, self.sps.bit_depth_chroma, self.sps.bit_depth_chroma];
        let picture = match quality {
            Quality::Best => self.decode_filtered(data)?,
            Quality::Fast => self.decode_unfiltered(data)?,
        };
        let [left, right, top, bottom] = window.map(|samples| samples as usize);
        let size = (picture.y.width - left - right, picture.y.height - top - bottom);
        let (x, y) = subsampling.unwrap_or((1, 1));
        let plane = |plane: ctu::Plane, depth: u32, (x, y): (usize, usize)| {
            let (stride, origin) = (plane.width, top / y * plane.width + left / x);
            Plane::new(plane.into_samples(), stride, origin, depth)
        };
        let mut planes = vec![plane(picture.y, depths[0], (1, 1))];
        if subsampling.is_some() {
            planes.extend([picture.cb, picture.cr].map(|chroma| plane(chroma, depths[1], (x as usize, y as usize))));
        }
        Ok(Frame::new(size, subsampling, planes))
    }

    fn decode_filtered(self, data: &[u8]) -> Result<Picture, ImageError> {
        let image = ResolvedImage { hevc_config: self.record, data: data.to_vec() };
        decode_one_image(&image).map(|(_, picture)| picture).map_err(refused)
    }

    /// Decodes a picture without deblocking and sample adaptive offset. Both change samples only after all samples are
    /// predicted, and a picture that is made much smaller does not show them. Without them a picture takes three quarters
    /// of the time and two thirds of the memory.
    fn decode_unfiltered(self, data: &[u8]) -> Result<Picture, ImageError> {
        let length_bytes = usize::from(self.record.length_size_minus_one) + 1;
        let mut slices = Vec::new();
        for nal in split_length_prefixed_nalus(data, length_bytes).map_err(refused)? {
            let (header, _) = parse_nal_header(&nal).map_err(refused)?;
            if is_slice_nal(header.nal_unit_type) && header.nuh_layer_id == 0 {
                slices.push((header.nal_unit_type, nal));
            }
        }
        let [(kind, nal)] = &slices[..] else {
            drop(slices);
            return self.decode_filtered(data);
        };
        if !is_irap_nal(*kind) {
            return Err(ImageError::UnsupportedFormat);
        }
        let payload = nal.get(2..).unwrap_or_default();
        let rbsp = strip_emulation_prevention(payload);
        let (header, start) = parse_slice_header(&rbsp, *kind, &self.sps, &self.pps).map_err(refused)?;
        if header.inter.is_some() || header.slice_segment_address != 0 {
            return Err(ImageError::UnsupportedFormat);
        }
        let starts = substreams(payload, start, &header)?;
        self.decode_slice(rbsp.get(start..).unwrap_or_default(), &starts, &header)
    }

    fn decode_slice(&self, data: &[u8], starts: &[usize], header: &SliceHeader) -> Result<Picture, ImageError> {
        let Self { sps, pps, .. } = self;
        let (sub_width, sub_height) = self.subsampling().map_or((0, 0), |(x, y)| (x as usize, y as usize));
        let mut picture = Picture::new(
            sps.pic_width_in_luma_samples as usize,
            sps.pic_height_in_luma_samples as usize,
            sub_width,
            sub_height,
            sps.bit_depth_luma,
            sps.bit_depth_chroma,
            sps.log2_min_luma_coding_block_size,
            sps.ctb_log2_size_y(),
        );
        let SliceHeader { slice_qp_y, sao_luma, sao_chroma, cb_qp_offset, cr_qp_offset, .. } = *header;
        decode_slice(
            &mut picture,
            data,
            starts,
            sps,
            pps,
            slice_qp_y,
            sao_luma,
            sao_chroma,
            cb_qp_offset,
            cr_qp_offset,
            None,
            None,
        )
        .map_err(refused)?;
        Ok(picture)
    }
}

/// Where the substreams after the first begin, counted from the beginning of the slice's data. The slice header counts the
/// bytes of emulation prevention, which the data no longer has.
fn substreams(payload: &[u8], start: usize, header: &SliceHeader) -> Result<Vec<usize>, ImageError> {
    if header.entry_point_offsets.is_empty() {
        return Ok(Vec::new());
    }
    let mut at = rbsp_len_to_ebsp_pos(payload, start).map_err(refused)?;
    let offsets = header.entry_point_offsets.iter().map(|offset| {
        at = at.saturating_add(*offset as usize);
        at
    });
    let ends = ebsp_lens_to_rbsp_lens(payload, &offsets.collect::<Vec<_>>());
    ends.into_iter().map(|end| end.checked_sub(start).ok_or_else(|| damaged("its substreams"))).collect()
}

fn read_record(property: &[u8]) -> Option<HevcDecoderConfig> {
    let mut reader = Reader(property);
    let length_size_minus_one = reader.take(22)?[21] & 3;
    let mut arrays = Vec::new();
    for _ in 0..reader.uint(1)? {
        let nal_unit_type = reader.take(1)?[0] & 63;
        let mut nalus = Vec::new();
        for _ in 0..reader.uint(2)? {
            let length = reader.uint(2)? as usize;
            nalus.push(reader.take(length)?.to_vec());
        }
        arrays.push(HevcNalArray { nal_unit_type, nalus });
    }
    Some(HevcDecoderConfig { length_size_minus_one, arrays, ..HevcDecoderConfig::default() })
}

/// The first parameter set of a type.
fn parameter_set(record: &HevcDecoderConfig, kind: u8) -> Result<Vec<u8>, ImageError> {
    let nal = record.nalus_of_type(kind).next().and_then(|nal| nal.get(2..));
    Ok(strip_emulation_prevention(nal.ok_or_else(|| damaged("its hvcC box"))?))
}

fn refused(error: HeifError) -> ImageError {
    match error {
        HeifError::Unsupported(_) => ImageError::UnsupportedFormat,
        error => damaged(error),
    }
}

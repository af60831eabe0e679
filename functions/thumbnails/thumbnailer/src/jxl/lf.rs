//! The LF image of a `VarDCT` frame: the average of each block of 8 x 8 pixels, in the colour space XYB. It is decoded without
//! the rest of the frame. The smoothing of the LF image is left out, because the thumbnail is smaller anyway.

use jxl_oxide::{
    Frame, JxlImage,
    frame::{Encoding, FrameType},
};

use crate::{ImageError, Pixels, damaged};

/// The side of a block in pixels.
pub const BLOCK_SIDE: u32 = 8;

/// The scale of LF coefficients without additional bits of precision.
const LF_SCALE: f32 = 512.0;

/// The brightness of white, in cd/m², of pictures that are not HDR.
const SDR_WHITE: f32 = 255.0;

/// The only frame of a picture, if its LF image shows all of the picture: there are no extra channels, and nothing is drawn
/// over the blocks.
pub fn frame(image: &JxlImage) -> Option<&Frame> {
    let (header, frame) = (image.image_header(), &**image.frame_by_keyframe(0)?);
    let (metadata, frame_header) = (&header.metadata, frame.header());
    let is_plain = metadata.xyb_encoded
        && metadata.ec_info.is_empty()
        && !metadata.grayscale()
        && metadata.tone_mapping.intensity_target.total_cmp(&SDR_WHITE).is_eq();
    let is_whole = image.num_loaded_frames() == 1
        && frame_header.encoding == Encoding::VarDct
        && frame_header.frame_type == FrameType::RegularFrame
        && !frame_header.have_crop
        && frame_header.upsampling == 1
        && !frame_header.do_ycbcr;
    let flags = &frame_header.flags;
    let is_bare = !flags.patches() && !flags.splines() && !flags.noise() && !flags.use_lf_frame();
    (is_plain && is_whole && is_bare).then_some(frame)
}

/// Decodes the LF image in sRGB.
pub fn decode(frame: &Frame) -> Result<Pixels, ImageError> {
    let (header, image_header) = (frame.header(), frame.image_header());
    let lf_global = frame.try_parse_lf_global::<i32>().ok_or_else(|| damaged("its LF image"))?.map_err(damaged)?;
    let vardct = lf_global.vardct.as_ref().ok_or_else(|| damaged("its LF image"))?;
    let (size, quantizer) = (&image_header.size, &vardct.quantizer);
    let (width, height) = (size.width.div_ceil(BLOCK_SIDE), size.height.div_ceil(BLOCK_SIDE));
    let to_srgb = XybToSrgb::new(frame);
    let correlation = &vardct.lf_chan_corr;
    let from_luma = |base: f32, factor: u32| base + (factor as f32 - 128.0) / correlation.colour_factor as f32;
    let x_from_y = from_luma(correlation.base_correlation_x, correlation.x_factor_lf);
    let b_from_y = from_luma(correlation.base_correlation_b, correlation.b_factor_lf);
    let mut rgba = vec![[0, 0, 0, 255]; width as usize * height as usize];
    for index in 0..header.num_lf_groups() {
        let group = frame.try_parse_lf_group::<i32>(Some(vardct), lf_global.gmodular.ma_config(), None, index);
        let group = group.ok_or_else(|| damaged("its LF image"))?.map_err(damaged)?;
        let coefficients = group.lf_coeff.filter(|_| !group.partial).ok_or_else(|| damaged("its LF image"))?;
        let precision = LF_SCALE / (1_u32 << coefficients.extra_precision.min(3)) as f32;
        let quantization = precision / (quantizer.global_scale as f32 * quantizer.quant_lf as f32);
        let dequantization = &lf_global.lf_dequant;
        let scales = [dequantization.m_x_lf, dequantization.m_y_lf, dequantization.m_b_lf].map(|m| m * quantization);
        let image = coefficients.lf_quant.image().ok_or_else(|| damaged("its LF image"))?;
        let [luma, x, b] = image.image_channels() else { return Err(damaged("its LF image")) };
        let left = index % header.lf_groups_per_row() * header.group_dim();
        let top = index / header.lf_groups_per_row() * header.group_dim();
        let rows = rgba.chunks_exact_mut(width as usize).skip(top as usize);
        let stored = luma.buf().chunks(luma.width().max(1));
        let stored = stored.zip(x.buf().chunks(x.width().max(1))).zip(b.buf().chunks(b.width().max(1)));
        for (row, ((luma, x), b)) in rows.zip(stored) {
            for (to, ((luma, x), b)) in row.iter_mut().skip(left as usize).zip(luma.iter().zip(x).zip(b)) {
                let y = *luma as f32 * scales[1];
                let (x, b) = (*x as f32 * scales[0] + x_from_y * y, *b as f32 * scales[2] + b_from_y * y);
                to[..3].copy_from_slice(&to_srgb.convert([x, y, b]));
            }
        }
    }
    let extent = (f64::from(size.width) / f64::from(BLOCK_SIDE), f64::from(size.height) / f64::from(BLOCK_SIDE));
    Ok(Pixels { width, height, extent, rgba })
}

struct XybToSrgb {
    matrix: [[f32; 3]; 3],
    bias: [f32; 3],
    bias_root: [f32; 3],
}

impl XybToSrgb {
    fn new(frame: &Frame) -> Self {
        let opsin = &frame.image_header().metadata.opsin_inverse_matrix;
        Self { matrix: opsin.inv_mat, bias: opsin.opsin_bias, bias_root: opsin.opsin_bias.map(f32::cbrt) }
    }

    fn convert(&self, [x, y, b]: [f32; 3]) -> [u8; 3] {
        let roots = [y + x, y - x, b];
        let mixed: [f32; 3] = std::array::from_fn(|at| (roots[at] - self.bias_root[at]).powi(3) + self.bias[at]);
        self.matrix.map(|row| {
            let linear = row.iter().zip(mixed).map(|(factor, value)| factor * value).sum::<f32>();
            let srgb = if linear > 0.003_130_8 { 1.055 * linear.powf(1.0 / 2.4) - 0.055 } else { 12.92 * linear };
            (srgb * 255.0 + 0.5).clamp(0.0, 255.0) as u8
        })
    }
}

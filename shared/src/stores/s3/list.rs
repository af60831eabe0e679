//! Listings of the bucket.

use aws_sdk_s3::types::{EncodingType, Object};
use futures_util::Stream;

use super::{Objects, key::decode};
use crate::{Result, stores::paginate::paginate};

/// An object in a listing of the bucket. Its key may be any text, because anybody with the permission may have put the
/// object there.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectSummary {
    pub key: String,
    /// The size, in bytes.
    pub size: u64,
}

/// A multipart upload that was neither completed nor aborted.
#[derive(Clone, Debug, PartialEq)]
pub struct MultipartUpload {
    pub key: String,
    pub upload_id: String,
}

impl Objects {
    /// All objects of the bucket, in the order of the keys' bytes.
    pub fn list_objects(&self) -> impl Stream<Item = Result<ObjectSummary>> {
        self.list_objects_under("")
    }

    /// The objects whose keys begin with `prefix`, in the order of the keys' bytes.
    pub fn list_objects_under<'a>(&'a self, prefix: &str) -> impl Stream<Item = Result<ObjectSummary>> + use<'a> {
        let prefix = Some(prefix.to_owned()).filter(|prefix| !prefix.is_empty());
        paginate(move |token| {
            let list = self.s3.list_objects_v2().bucket(&self.bucket).encoding_type(EncodingType::Url);
            let list = list.set_prefix(prefix.clone()).set_continuation_token(token);
            async move {
                let page = list.send().await?;
                let objects = page.contents.unwrap_or_default().into_iter();
                let encoding = page.encoding_type;
                let objects = objects.filter_map(|object| summary_of(object, encoding.as_ref())).collect();
                Ok((objects, page.next_continuation_token))
            }
        })
    }

    /// The object at `key`, if there is one. The object is looked up in a listing, where it is the first of all objects
    /// whose keys begin with `key`, because a listing needs no permission to read the object.
    pub async fn summary(&self, key: &str) -> Result<Option<ObjectSummary>> {
        let list = self.s3.list_objects_v2().bucket(&self.bucket).encoding_type(EncodingType::Url);
        let page = list.prefix(key).max_keys(1).send().await?;
        let first = page.contents.unwrap_or_default().into_iter().next();
        let first = first.and_then(|object| summary_of(object, page.encoding_type.as_ref()));
        Ok(first.filter(|object| object.key == key))
    }

    /// The multipart uploads to keys that begin with `prefix`.
    pub fn list_multipart_uploads<'a>(&'a self, prefix: &str) -> impl Stream<Item = Result<MultipartUpload>> + use<'a> {
        let prefix = prefix.to_owned();
        paginate(move |mark: Option<(String, String)>| {
            let (key, upload_id) = mark.unzip();
            let list = self.s3.list_multipart_uploads().bucket(&self.bucket).encoding_type(EncodingType::Url);
            let list = list.prefix(&prefix).set_key_marker(key).set_upload_id_marker(upload_id);
            async move {
                let page = list.send().await?;
                let encoding = page.encoding_type;
                let uploads = page.uploads.unwrap_or_default().into_iter().filter_map(|upload| {
                    Some(MultipartUpload { key: plain(upload.key?, encoding.as_ref()), upload_id: upload.upload_id? })
                });
                // On the last page the markers may be present and empty.
                let more = page.is_truncated == Some(true);
                let mark = page.next_key_marker.zip(page.next_upload_id_marker).filter(|_| more);
                Ok((uploads.collect(), mark.map(|(key, upload_id)| (plain(key, encoding.as_ref()), upload_id))))
            }
        })
    }
}

fn summary_of(object: Object, encoding: Option<&EncodingType>) -> Option<ObjectSummary> {
    Some(ObjectSummary { key: plain(object.key?, encoding), size: object.size?.unsigned_abs() })
}

/// Decodes a listed key. S3 is asked to encode keys, because XML cannot hold every character.
fn plain(key: String, encoding: Option<&EncodingType>) -> String {
    match encoding {
        Some(EncodingType::Url) => decode(&key),
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_it_was_before_s3_encoded_it() {
        for (listed, key) in
            [("files/a-b_c", "files/a-b_c"), ("a+b%2Bc%20d", "a b+c d"), ("na%C3%AFve/%01", "na\u{ef}ve/\u{1}")]
        {
            assert_eq!(plain(listed.into(), Some(&EncodingType::Url)), key);
        }
        assert_eq!(plain("a+b%2B".into(), None), "a+b%2B");
    }
}

//! The response of a function to the gateway: payload format 2.0 of API Gateway's HTTP APIs.
//!
//! `lambda_http` makes the same response, but copies the bytes once more, encodes base64 without SIMD, and checks each
//! character of the base64 for escaping. For 1 MB this takes a fifth of the processor time of the whole request.

use axum::{
    body::{Bytes, to_bytes},
    http::HeaderMap,
    response::Response,
};
use base64::{
    Engine,
    engine::{Simd, general_purpose::PAD},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::{RawValue, to_raw_value};

use super::json::is_json;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayResponse {
    status_code: u16,
    #[serde(serialize_with = "joined")]
    headers: HeaderMap,
    is_base64_encoded: bool,
    /// A string in JSON. The field is the last one, so that nothing written after it makes a large buffer grow.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

impl GatewayResponse {
    /// # Errors
    /// The body broke off. Our bodies are complete before the response begins.
    pub async fn of(answer: Response) -> Result<Self, lambda_http::Error> {
        let (head, body) = answer.into_parts();
        let bytes = to_bytes(body, usize::MAX).await?;
        // JSON is sent as text, which is easier to read in a log of the gateway.
        let is_text = bytes.is_empty() || is_json(&head.headers);
        let text = std::str::from_utf8(&bytes).ok().filter(|_| is_text);
        Ok(Self {
            status_code: head.status.as_u16(),
            headers: head.headers,
            is_base64_encoded: text.is_none(),
            body: match text {
                Some("") => None,
                Some(text) => Some(to_raw_value(text)?),
                None => Some(base64(bytes)?),
            },
        })
    }
}

/// Takes ownership of the bytes, to drop them before more copies of their base64 are made.
fn base64(bytes: Bytes) -> Result<Box<RawValue>, lambda_http::Error> {
    let length = bytes.len().div_ceil(3) * 4;
    let mut json = vec![b'"'; length + 2];
    Simd::standard(PAD).encode_slice(&bytes, &mut json[1..=length])?;
    drop(bytes);
    Ok(RawValue::from_string(String::from_utf8(json)?)?)
}

/// Joins the values of a repeated header with commas, as the format requires.
fn joined<S: Serializer>(headers: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(headers.keys_len()))?;
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        map.serialize_entry(name.as_str(), &values.join(", "))?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{StatusCode, header},
        response::IntoResponse,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::http::Json;

    async fn returned(answer: impl IntoResponse) -> Value {
        serde_json::to_value(GatewayResponse::of(answer.into_response()).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn bytes_are_base64_whatever_their_type_and_json_is_text() {
        let latin = ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from(&b"\x63\xe9\xff"[..]));
        let expected = json!({ "content-type": "text/plain; charset=utf-8" });
        assert_eq!(
            returned(latin).await,
            json!({ "statusCode": 200, "headers": expected, "isBase64Encoded": true, "body": "Y+n/" })
        );
        let expected = json!({ "content-type": "application/json; charset=utf-8" });
        assert_eq!(
            returned((StatusCode::CREATED, Json("é\"\n"))).await,
            json!({ "statusCode": 201, "headers": expected, "isBase64Encoded": false, "body": "\"é\\\"\\n\"" })
        );
    }

    #[tokio::test]
    async fn an_empty_answer_has_no_body() {
        assert_eq!(
            returned(StatusCode::NO_CONTENT).await,
            json!({ "statusCode": 204, "headers": {}, "isBase64Encoded": false })
        );
    }

    #[tokio::test]
    async fn several_values_of_a_header_are_one() {
        let mut answer = StatusCode::OK.into_response();
        for method in ["GET", "PUT"] {
            answer.headers_mut().append(header::ALLOW, method.parse().unwrap());
        }
        assert_eq!(returned(answer).await["headers"], json!({ "allow": "GET, PUT" }));
    }
}

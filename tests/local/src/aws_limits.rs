//! The limits of API Gateway and Lambda that a request meets on its way to a function and back, each with its source. The
//! emulator has none of them: `gateway_proxy.rs` keeps them. Bytes are bytes, not characters.

use std::time::Duration;

/// Largest body of a request that an HTTP API takes: 10 MB, which are 10,485,760 bytes by the answer in
/// <https://github.com/koki-develop/lgtm-generator/issues/10>. A larger one is a 413.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
pub const GATEWAY_BODY: usize = 10 << 20;

/// Largest sum of a request's first line and the values of its headers, by the same page. A larger one is a 431.
pub const GATEWAY_HEAD: usize = 10_240;

/// How long an HTTP API waits for a function at most, by the same page. Then the answer is a 503:
/// <https://github.com/serverless/serverless/issues/11222>
pub const GATEWAY_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest event of a function, and largest answer, as JSON: what Lambda's page calls 6 MB is this number in its messages.
/// A larger event is a 413, a larger answer is the function's failure and so a 500.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
/// <https://github.com/DataBiosphere/azul/issues/6514>
pub const LAMBDA_PAYLOAD: usize = 6_291_556;

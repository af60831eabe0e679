//! The limits of API Gateway and Lambda for a request and its answer, each with its source. The emulator enforces none
//! of them, so `gateway_proxy.rs` does. Sizes are bytes, not characters.

use std::time::Duration;

/// The largest body of a request to an HTTP API: 10 MB, which are 10,485,760 bytes according to
/// <https://github.com/koki-develop/lgtm-generator/issues/10>. A larger one is a 413.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
pub const GATEWAY_BODY: usize = 10 << 20;

/// The largest sum of a request's first line and the values of its headers, from the same page. A larger one is a 431.
pub const GATEWAY_HEAD: usize = 10_240;

/// The longest time that an HTTP API waits for a function, from the same page. After that the answer is a 503:
/// <https://github.com/serverless/serverless/issues/11222>
pub const GATEWAY_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest event of a function and its largest answer, as JSON. Lambda's page says 6 MB, its error messages say
/// this number. A larger event is a 413. A larger answer is a failure of the function, and so a 500.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
/// <https://github.com/DataBiosphere/azul/issues/6514>
pub const LAMBDA_PAYLOAD: usize = 6_291_556;

"""The fault proxy between the functions and S3 or SQS: microburst, changed to be transparent without a fault.

microburst 0.10 sends the upstream's name as Host, which S3 signatures cover, and drops Content-Length, without which
the answer to a HEAD does not have the object's size. This program keeps both unchanged. It can be removed, and
`microburst` started directly, when microburst does that itself.
"""

import sys

from microburst import forward
from microburst.cli import main

forward.HOP_BY_HOP -= {"content-length"}
outbound_headers = forward.Upstream._outbound_headers


def with_host(self, request):
    return {**outbound_headers(self, request), "host": request.headers["host"]}


forward.Upstream._outbound_headers = with_host

sys.exit(main())

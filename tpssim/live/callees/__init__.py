"""What `tpssim live` calls: a callable, a shell command, a URL. The sole importer of the HTTP
clients.

urllib3 makes blocking calls and aiohttp asynchronous ones. Each is the standard client of its kind
and well maintained, and a call costs a fraction of what it costs with clients that do both. Both
send the same request, byte for byte but for the order of headers, and follow no redirect.
`TimeoutError` and `Rejected` have the meaning that they have in a permit's body.
"""

from tpssim.live.callees.blocking import url as url
from tpssim.live.callees.local import async_command as async_command
from tpssim.live.callees.local import command as command
from tpssim.live.callees.local import python_callable as python_callable
from tpssim.live.callees.loops import async_url as async_url
from tpssim.live.callees.requests import CallFailed as CallFailed
from tpssim.live.callees.requests import Redirects as Redirects
from tpssim.live.callees.requests import Request as Request
from tpssim.live.callees.requests import check_request as check_request

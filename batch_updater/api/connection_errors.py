"""Why there is no connection, and what you can do about it."""

import ssl
from typing import NamedTuple, Never

import aiohttp
from yarl import URL

from batch_updater.api.network import PROXY_NAMES, Network
from batch_updater.common.errors import Hint
from batch_updater.common.models import Answer, Verdict
from batch_updater.common.remedies import Remedy

_CREDENTIALS = " and ".join(PROXY_NAMES)
_EXPIRED, _TOO_EARLY = 10, 9  # OpenSSL's X509_V_ERR_*
_NOT_THIS_HOST = {62, 64}
_UNTRUSTED = {2, 18, 19, 20, 21, 24, 27}
_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
_OLD_TLS = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"}
LATE: Answer[Never] = Answer(Verdict.RETRY, "timeout", "no connection in time", was_sent=False)


class NoConnectionError(Exception):
    """There is no connection, so the request was certainly not sent; `answer` says why."""

    def __init__(self, answer: Answer[Never]) -> None:
        super().__init__(answer.detail)
        self.answer = answer


class _Peer(NamedTuple):
    """The other end of a connection that could not be made."""

    host: str
    name: str  # for a sentence
    setting: Remedy
    code: str


class ConnectionReasons:
    """Explains aiohttp's exceptions when there is no connection. Their own texts may hold headers, so none is shown."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._proxy = URL(network.proxy.address) if network.proxy else None

    def explain(self, error: Exception, host: str) -> Answer[Never]:
        """Return whether another attempt can help, why there is no connection, and what to do."""
        if isinstance(error, aiohttp.ClientConnectorError):
            peer = self._peer(error.host, error.port)
            if isinstance(error, aiohttp.ClientConnectorDNSError):
                return _no_connection(peer.code, f"the name of {peer.name} can't be resolved")
            if isinstance(error, aiohttp.ClientConnectorCertificateError):
                return self._certificate(error.certificate_error, peer)
            if isinstance(error, aiohttp.ClientSSLError):
                return _no_tls(error.os_error, peer)
            return _no_connection(peer.code, f"{peer.name} can't be reached")
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return self._refused(error.status, host)
        if isinstance(error, aiohttp.ClientResponseError):
            return _no_connection(
                "proxy_error", f"{self._proxy} does not answer like a proxy", Remedy("check {proxy}, then run again")
            )
        code = "proxy_error" if self._proxy else "connection_error"
        return _no_connection(code, "the connection broke while it was made")

    def _peer(self, host: str, port: int | None) -> _Peer:
        if self._proxy and (host, port) == (self._proxy.raw_host, self._proxy.port):
            return _Peer(host, "the proxy", Remedy("{proxy}"), "proxy_error")
        return _Peer(host, "the service", Remedy("the base URL"), "connection_error")

    def _certificate(self, error: Exception, peer: _Peer) -> Answer[Never]:
        verify = getattr(error, "verify_code", None)
        message = getattr(error, "verify_message", "") or "no reason given"
        whose = f"the certificate of {peer.host}"
        if verify in {_EXPIRED, _TOO_EARLY}:
            state = "has expired" if verify == _EXPIRED else "is not valid yet"
            hint = "check this machine's clock; if it is right, the certificate has to be renewed there"
            return _no_connection("tls_error", f"{whose} {state}", hint)
        if verify in _NOT_THIS_HOST:
            detail = f"{peer.name} has a certificate that is not made out for {peer.host}"
            return _no_connection("tls_error", detail, Remedy("check {what}, then run again", {"what": peer.setting}))
        if verify not in _UNTRUSTED:
            return _no_connection("tls_error", f"{whose} is refused: {message}", "check it, then run again")
        if self._network.ca_file:
            detail = f"{whose} is not signed by an authority in {self._network.ca_file} ({message})"
            return _no_connection(
                "tls_error", detail, Remedy("check that {ca_file} holds the authority of {host}", {"host": peer.host})
            )
        detail = f"{whose} is not signed by an authority that this machine trusts ({message})"
        own = Remedy("if it has, or a proxy uses, a certificate authority of its own, name its file with {ca_file}")
        return _no_connection("tls_error", detail, own)

    def _refused(self, status: int, host: str) -> Answer[Never]:
        if status == 407 and self._network.proxy and self._network.proxy.user:
            hint = f"check {_CREDENTIALS}, then run again"
            return _no_connection("proxy_error", f"the proxy {self._proxy} does not accept the credentials", hint)
        if status == 407:
            hint = f"set {_CREDENTIALS}, or these names with _FILE, then run again"
            return _no_connection("proxy_error", f"the proxy {self._proxy} requires a user and a password", hint)
        if status >= 500 or status in {408, 429}:
            return _no_connection("proxy_error", f"the proxy can't connect to {host} ({status})")
        detail = f"the proxy {self._proxy} refuses to connect to {host} ({status})"
        return _no_connection(
            "proxy_error", detail, Remedy("ask those who run it to allow it, or check {proxy}; then run again")
        )


def _no_tls(error: OSError, peer: _Peer) -> Answer[Never]:
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    check = Remedy("check {what}", {"what": peer.setting})
    if reason in _NO_TLS:
        return _no_connection("tls_error", f"{peer.name} does not speak TLS at this port", check)
    if reason in _OLD_TLS:
        return _no_connection("tls_error", f"{peer.name} speaks no version of TLS that is safe", check)
    return _no_connection("tls_error", f"no TLS connection to {peer.name}")


def _no_connection(code: str, detail: str, hint: Hint = "") -> Answer[Never]:
    """Return an answer that can be tried again; one with a hint needs you to act first."""
    return Answer(Verdict.STOP if hint else Verdict.RETRY, code, detail, was_sent=False, hint=hint)

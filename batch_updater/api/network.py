"""The network to the service: whose certificates are trusted, and the proxy."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from batch_updater.api.credential_sources import secret_from
from batch_updater.common.errors import SettingsError
from batch_updater.common.remedies import Remedy
from batch_updater.common.secret import Secret

PROXY_NAMES = ("BATCH_UPDATER_PROXY_USER", "BATCH_UPDATER_PROXY_PASS")
_OTHERS_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_FORM = "use http://host:port or https://host:port"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that opens the connection to the service (CONNECT, RFC 9110, 9.3.6), and its credentials."""

    address: str
    user: Secret | None = None
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """How every connection is made. `trust` holds the authorities of `ca_file`; None means the system's.

    `ignored_proxy` is the environment variable whose proxy other programs would take, and this one does not.
    """

    ca_file: Path | None = None
    trust: ssl.SSLContext | None = None
    proxy: Proxy | None = None
    ignored_proxy: str = ""


DIRECT = Network()


def find_network(base_url: str, ca_file: Path | None, proxy: str | None, environment: Mapping[str, str]) -> Network:
    """Return the network to a service, its files and addresses checked. Raises SettingsError."""
    trust = _read_authorities(ca_file) if ca_file else None
    if proxy:
        return Network(ca_file, trust, _find_proxy(base_url, proxy, environment))
    return Network(ca_file, trust, ignored_proxy=_ignored_proxy(base_url, environment))


def _ignored_proxy(base_url: str, environment: Mapping[str, str]) -> str:
    parts = urlsplit(base_url)
    excepted = (environment.get("no_proxy") or environment.get("NO_PROXY") or "").lower().replace(",", " ").split()
    is_excepted = any(one == "*" or f".{parts.hostname}".endswith("." + one.lstrip("*.")) for one in excepted)
    if parts.scheme != "https" or is_excepted:
        return ""
    return next((name for name in _OTHERS_PROXIES if environment.get(name)), "")


def _read_authorities(path: Path) -> ssl.SSLContext:
    try:
        with path.open("rb"):  # ssl's own error would not say which file it was
            pass
        context = ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        context = None
    except OSError as error:
        said = Remedy("{ca_file} {path} can't be read: {why}.", {"path": str(path), "why": str(error.strerror)})
        raise SettingsError(said, "check the path") from None
    if context is None or not context.cert_store_stats()["x509"]:
        raise SettingsError(
            Remedy("{ca_file} {path} holds no certificate that can be read.", {"path": str(path)}),
            "it must be text (PEM) with -----BEGIN CERTIFICATE-----; a binary one is turned into it by"
            " `openssl x509 -inform der -in FILE`",
        )
    return context


def _find_proxy(base_url: str, proxy: str, environment: Mapping[str, str]) -> Proxy:
    address = _check_address(proxy)
    if urlsplit(base_url).scheme == "http":
        raise SettingsError(
            "http:// never leaves this machine: a proxy would get the token in the clear.",
            Remedy('use an https:// service, or no proxy ({proxy} "")'),
        )
    user, password = (secret_from(name, environment) for name in PROXY_NAMES)
    if (user is None) != (password is None):
        missing = PROXY_NAMES[0 if user is None else 1]
        raise SettingsError(f"The proxy's credentials lack {missing}.", f"set it, or {missing}_FILE")
    if user and ":" in user.reveal():  # RFC 7617, 2
        raise SettingsError(f"{PROXY_NAMES[0]} holds a ':', which no user of a proxy can have.", "copy it again")
    return Proxy(address, user, password)


def _check_address(text: str) -> str:
    """Return the proxy's address without a final slash. The text may hold a password, so no message repeats it."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(Remedy("The address of {proxy} can't be read."), _FORM) from None
    if "@" in text:
        raise SettingsError(
            Remedy("The address of {proxy} holds credentials, which everybody on this machine could see."),
            f"take them out (and change the password), and set {' and '.join(PROXY_NAMES)}, or these names with _FILE",
        )
    if parts.scheme not in {"http", "https"} or not host or port == 0 or re.search(r"[^\x21-\x7e]|[%\\]", text):
        raise SettingsError(Remedy("{proxy} must be an address of http:// or https://, with a host."), _FORM)
    if parts.path not in {"", "/"} or "?" in text or "#" in text:
        raise SettingsError(Remedy("The address of {proxy} must end after its port."), _FORM)
    return f"{parts.scheme}://{parts.netloc}"

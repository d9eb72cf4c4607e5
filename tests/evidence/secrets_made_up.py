"""Made-up secrets of every family, put together at run time so that no scanner flags this file."""

from __future__ import annotations

import base64
from typing import Final

_TAIL: Final = "q7Zr2Xw9Lm4Tb6Vn8Kd3Hs5Jf1Gp0Yc"
_HOST: Final = "." + "com"


def _b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


_JWT = ".".join((_b64('{"alg":"HS256"}'), _b64('{"sub":"canary-1"}'), _TAIL))

#: A name for each, the rule that must find it, and the value. The value is one no other text holds.
SECRETS: Final[dict[str, tuple[str, str]]] = {
    "aws long-lived key": ("aws-access-key", "AKI" + "A" + "Q7ZR2XW9LM4TB6VN"),
    "aws session key": ("aws-access-key", "ASI" + "A" + "Q7ZR2XW9LM4TB6VN"),
    "github token": ("github-token", "gh" + "p_" + _TAIL + "ab12"),
    "github server token": ("github-token", "gh" + "s_" + _TAIL + "ab12"),
    "github token of several parts": ("github-token", "gh" + "s_" + _TAIL[:11] + "_" + _TAIL + "-ab12"),
    "github fine-grained token": ("github-fine-grained-token", "github" + "_pat_" + _TAIL),
    "gitlab token": ("gitlab-token", "glp" + "at-" + _TAIL[:20]),
    "npm token": ("npm-token", "np" + "m_" + _TAIL + "ab12"),
    "pypi token": ("pypi-token", "pyp" + "i-AgE" + "IcHlwaS5vcmc" + _TAIL),
    "slack bot token": ("slack-token", "xo" + "xb-123456789012-" + _TAIL[:24]),
    "slack app token": ("slack-token", "xa" + "pp-1-A0123456789-" + _TAIL[:24]),
    "stripe live key": ("stripe-key", "sk" + "_live_" + _TAIL[:24]),
    "stripe organisation key": ("stripe-key", "sk" + "_org_live_" + _TAIL[:24]),
    "stripe restricted key": ("stripe-key", "rk" + "_live_" + _TAIL[:24]),
    "google api key": ("google-api-key", "AI" + "za" + _TAIL + "_abc"),
    "google oauth token": ("google-oauth-token", "ya" + "29." + _TAIL),
    "openai-style key": ("openai-style-key", "s" + "k-" + _TAIL),
    "openai project key": ("openai-style-key", "s" + "k-proj-" + _TAIL),
    "json web token": ("json-web-token", _JWT),
    "json web token without a signature": ("json-web-token", _JWT.removesuffix(_TAIL)),
    "pem private key": ("private-key", "-----BEGIN RSA " + "PRIVATE KEY-----\n" + _TAIL),
    "pkcs8 private key": ("private-key", "-----BEGIN " + "PRIVATE KEY-----" + _TAIL),
    "bearer authorization": ("authorization", "Bea" + "rer " + _TAIL),
    "lower-case bearer": ("authorization", "authorization bea" + "rer " + _TAIL),
    "percent-encoded bearer": ("authorization", "Bea" + "rer%20" + _TAIL),
    "basic authorization": ("basic-authorization", "Bas" + "ic " + base64.b64encode(b"ops:" + _TAIL.encode()).decode()),
    "splunk authorization": ("authorization", "Splu" + "nk 1b2c3d4e-0000-4444-8888-aabbccddeeff"),
    "url with a password": ("url-password", "https://ops:" + _TAIL[:12] + "@collector.example/services"),
    "url with a slash in its password": (
        "url-password",
        "https://ops:" + _TAIL[:6] + "/" + _TAIL[6:12] + "@c.example/x",
    ),
    "url with a percent-encoded colon": ("url-password", "https://o%40ps%3A" + _TAIL[:12] + "@collector.example/x"),
    "url with a password only": ("url-password", "redis://:" + _TAIL[:12] + "@cache.example:6379/0"),
    "url with a long password": ("url-password", "https://ops:" + _TAIL * 12 + "@collector.example/services"),
    "connection string": ("connection-string", "Server=db,1433;User ID=sa;Pass" + "word=correcthorse;Encrypt=true"),
    "connection string that ends so": ("connection-string", "Server=db; P" + "wd=tiger"),
    "connection string that begins so": ("connection-string", "P" + "wd=tiger; Server=db"),
    "slack webhook": (
        "slack-webhook",
        "https://hooks.sl" + "ack" + _HOST + "/services/T0CANARY/B0CANARY/" + _TAIL[:24],
    ),
    "percent-encoded slack webhook": (
        "slack-webhook",
        "https%3A%2F%2Fhooks.sl" + "ack" + _HOST + "%2Fservices%2FT0CANARY%2FB0CANARY%2F" + _TAIL[:24],
    ),
    "slack trigger": ("slack-webhook", "https://hooks.sl" + "ack" + _HOST + "/triggers/T0CANARY/123/" + _TAIL[:24]),
    "teams webhook": ("teams-webhook", "https://acme.webhook.off" + "ice" + _HOST + "/webhookb2/" + _TAIL),
    "old teams webhook": ("teams-webhook", "https://outlook.off" + "ice365" + _HOST + "/webhook/" + _TAIL),
    "logic apps url": (
        "workflow-url",
        "https://prod-1.westeurope.lo"
        + "gic.azure"
        + _HOST
        + "/workflows/x/triggers/manual/run?sv=1&si"
        + "g="
        + _TAIL,
    ),
    "feishu webhook": ("webhook-url", "https://open.fei" + "shu.cn/open-apis/bot/v2/hook/" + _TAIL),
    "webhook of a chat server": ("webhook-url", "https://chat.example/hooks/" + _TAIL[:26].lower()),
    "percent-encoded signature": ("signature-parameter", "run%3Fsv%3D1%26si" + "g%3D" + _TAIL),
    "power automate url": (
        "workflow-url",
        "https://x.api.power" + "platform" + _HOST + ":443/powerautomate/run?api-version=1&si" + "g=" + _TAIL,
    ),
    "azure sas signature": (
        "signature-parameter",
        "https://acme.blob.core.windows.example/c/b?sv=2024-11-04&se=2027-01-01&si" + "g=" + _TAIL + "%3D",
    ),
    "standard webhooks secret": ("webhook-secret", "whs" + "ec_" + _TAIL),
    "datadog key assignment": ("assigned-secret", "dd-api" + "-key: " + "0123456789abcdef" * 2),
    "password assignment": ("assigned-secret", "pass" + "word=" + _TAIL[:12]),
}

#: Text that looks a little like a secret and is none.
HARMLESS: Final = (
    "Basic configuration",
    "basic operations are fine",
    "Basic",
    "splunk",
    "Splunk forwarder",
    "Bearer",
    "bearer token",
    "the bearer of this report",
    "task-force-recovery-2026-06-25",
    "task-0123456789abcdef0123456789abcdef",
    "risk-assessment-of-the-recovery-path",
    "disk-usage-of-the-collector-node-01",
    "plan-recovery-escalation-0042",
    "go-backend-rollback-drill-plan-2026-06-25T10:00:00Z",
    "0123456789abcdef" * 4,
    "sha256:" + "0123456789abcdef" * 4,
    "1b2c3d4e-0000-4444-8888-aabbccddeeff",
    "[REDACTED]",
    "https://hooks.example/services/",
    "https://status.example/path?page=2",
    "https://ops@example/dashboard",
    "https://ops:REDACTED@example/dashboard",
    "https://ops:***@example/dashboard",
    "Server=db;Password=***;Encrypt=true",
    "password=optional; otherwise ask",
    "the password; pwd = a command",
    "mailto:ops",
    "https://example.com:443/@scope/package",
    "http://[::1]:8080/a@b",
    "https://git.example/hooks/prepare-commit-message",
    "https://chat.example/hooks/REDACTED",
    "bearer%20notification",
    "gho_rollback_drill_recovery_escalation",
    "sig",
    "design=modern-and-clean-look",
    "-----BEGIN CERTIFICATE-----",
    "AKIA",
    "eyJ",
    "SGML and xoxo",
    "secret",
    "token: none",
    "key-rotation-run-7",
    "glacier-archive-of-the-evidence-store",
)


def canary(name: str) -> str:
    """The made-up secret of that name."""
    return SECRETS[name][1]

"""What an object store refused, as a sentence and a verdict: wait and try again, or a person must act.

Only the store's error code and status are taken from a foreign message: the rest holds addresses and request ids.
Source: Amazon S3 API reference, "Error responses"; Cloudflare docs, "R2 error codes".
"""

from __future__ import annotations

import re

from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from .sink import SinkMisconfiguredError, SinkUnavailableError

KEYS = "Check credentials.access_key_id and credentials.secret_access_key of the sink"
RIGHTS = "Give its key the right to read and write objects of this bucket"
REGION = "Set region to the one the bucket is in"

ADVICE = {
    "AccessDenied": RIGHTS,
    "AccountProblem": "The account is suspended: ask the provider",
    "AllAccessDisabled": "The account is suspended: ask the provider",
    "AuthorizationHeaderMalformed": REGION,
    "ExpiredToken": "The credentials have expired: renew them",
    "IllegalLocationConstraintException": REGION,
    "InvalidAccessKeyId": KEYS,
    "InvalidBucketName": "Check bucket of the sink",
    "InvalidRegionName": REGION,
    "InvalidToken": "Renew the credentials: the session token is not valid",
    "NoSuchBucket": "Make the bucket, or correct bucket of the sink",
    "PermanentRedirect": REGION,
    "RequestTimeTooSkewed": "Set this machine's clock",
    "SignatureDoesNotMatch": KEYS,
    "TokenRefreshRequired": "Renew the credentials: the session token must be refreshed",
    "Unauthorized": KEYS,
}
"""The store's error code -> what a person has to do. A code that is not here may pass by itself."""

CREDENTIAL_ENDPOINTS = ("169.254.169.254", "169.254.170.2", "169.254.170.23")
"""Asked by the S3 client when no key is set: an error from there means there are no credentials."""

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")


def sink_error(
    error: BaseError | OSError | NotImplementedError | ValueError, target: str
) -> SinkUnavailableError | SinkMisconfiguredError:
    """The error the runner understands, for what obstore raised about `target` (`s3://bucket`, or a folder)."""
    text = str(error).partition("\n\nDebug source:")[0]
    code = found[1] if (found := _CODE.search(text)) else ""
    status = int(found[1]) if (found := _STATUS.search(text)) else 0
    answer = f"{target} answered {' '.join(filter(None, (str(status or ''), code)))}".strip()
    if any(endpoint in text for endpoint in CREDENTIAL_ENDPOINTS):
        return SinkMisconfiguredError(
            f"{target} needs credentials and none were found. Set credentials of the sink, or AWS_ACCESS_KEY_ID and "
            f'AWS_SECRET_ACCESS_KEY: eval "$(aws configure export-credentials --format env)".'
        )
    if code in ADVICE:
        return SinkMisconfiguredError(f"{answer}. {ADVICE[code]}.")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        advice = f"{KEYS}, and what that key may do" if status else "Check who owns the folder"
        return SinkMisconfiguredError(f"{answer if status else f'{target} may not be written'}. {advice}.")
    if "redirect without LOCATION" in text:
        return SinkMisconfiguredError(f"{target} is in another region. {REGION}.")
    if isinstance(error, InvalidPathError | ValueError):
        return SinkMisconfiguredError(f"{target} cannot have an object of this name: {text}. Check path of the sink.")
    if isinstance(error, FileNotFoundError) and not status:
        return SinkMisconfiguredError(f"{target} does not exist. Make it, or correct bucket of the sink.")
    if status:
        return SinkUnavailableError(f"{answer}. It is tried again; nothing is lost.")
    return SinkUnavailableError(f"{target} was not reached ({_reason(text)}). It is tried again; nothing is lost.")


def _reason(text: str) -> str:
    """The end of obstore's sentence, which names the cause and not the request."""
    return text.rstrip().rpartition(" - ")[2].removeprefix("HTTP error: ") or "no reason given"

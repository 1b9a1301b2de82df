"""What the steps of transcode.yaml do, on pictures in the plain PGM format: `P2 width height maximum pixels...`."""

from workers.workflows import NonRetryableError

WIDTHS = (640, 320, 160, 80)


def probe(picture):
    """Its size, and the smaller widths that are worth having."""
    width, height, *_ = _read(picture)
    return {"width": width, "height": height, "widths": [smaller for smaller in WIDTHS if smaller < width]}


def scaled(picture, width):
    """The picture that wide: each pixel is the nearest one."""
    old_width, old_height, maximum, pixels = _read(picture)
    height = max(old_height * width // old_width, 1)
    rows = (row * old_height // height * old_width for row in range(height))
    made = [pixels[row + column * old_width // width] for row in rows for column in range(width)]
    return {"width": width, "picture": f"P2 {width} {height} {maximum}\n{' '.join(map(str, made))}"}


async def publish(key, widths, review):
    """The names that are public now; nobody may have refused them."""
    if review is not None and not review["approved"]:
        raise NonRetryableError(f"{review['by']} refused {key}")
    return [f"/{key}@{width}" for width in widths]


def _read(picture):
    kind, *numbers = picture.split()
    if kind != "P2" or len(numbers) < 3 or not all(number.isdecimal() for number in numbers):
        raise NonRetryableError("This is no picture in the plain PGM format.")
    width, height, maximum, *pixels = map(int, numbers)
    if len(pixels) != width * height:
        raise NonRetryableError(f"The picture has {len(pixels)} pixels, and should have {width} x {height}.")
    return width, height, maximum, pixels

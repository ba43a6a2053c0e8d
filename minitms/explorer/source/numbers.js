// The arrays that Python wrote into the page (minitms/explorer/numbers.py).

const FORMATS = {
  float64: [8, (view, at) => view.getFloat64(at, true)],
  float32: [4, (view, at) => view.getFloat32(at, true)],
  float16: [2, (view, at) => half(view.getUint16(at, true))],
};

/** An array {dtype, shape, base64} as numbers, with its shape beside them. */
function unpacked({ dtype, shape, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)), view = new DataView(bytes.buffer);
  const [size, read] = FORMATS[dtype];
  const values = Float64Array.from({ length: bytes.length / size }, (_, k) => read(view, k * size));
  return Object.assign(values, { shape });
}

/** A number of 16 bits: sign, 5 bits of exponent, 10 of fraction. */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

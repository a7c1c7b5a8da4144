const BYTES_FIRST = 4096;

/** The request body so far, while it may have to be sent (again): one buffer that grows, for very many very small pieces. */
export class RetainedBody {
  #bytes: Buffer | undefined = undefined;
  length = 0;

  /** Undefined while nothing is retained. */
  get bytes(): Buffer | undefined {
    return this.#bytes;
  }

  add(bytes: Buffer, start: number, end: number): void {
    const length = this.length + end - start;
    if (this.#bytes === undefined || length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * length, BYTES_FIRST));
      this.#bytes?.copy(larger, 0, 0, this.length);
      this.#bytes = larger;
    }
    bytes.copy(this.#bytes, this.length, start, end);
    this.length = length;
  }

  clear(): void {
    this.#bytes = undefined;
    this.length = 0;
  }
}

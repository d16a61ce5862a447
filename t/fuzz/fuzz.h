/* fuzz.h - the one function of a fuzz target: takes any bytes, aborts when a promise is broken.
 *
 * Linked with clang's driver by scripts/fuzz, with replay.c by make check.
 */
#ifndef T_FUZZ_FUZZ_H
#define T_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

"""The rate of a plain matrix product: what training's products could reach at best."""

import time

import tensorflow as tf

TOKENS, REPEATS = 2048, 8


def product_rates(hidden_size: int, precision: str, rounds: int) -> list[float]:
    """Returns FLOP/s of [2048, H] x [H, 4 H], a BERT layer's largest product, one number a round."""
    left = tf.cast(tf.random.stateless_normal([TOKENS, hidden_size], [1, 2]), precision)
    right = tf.cast(tf.random.stateless_normal([hidden_size, 4 * hidden_size], [3, 4]), precision)
    flops = 2 * TOKENS * hidden_size * 4 * hidden_size * REPEATS
    _multiply(left, right)  # warms up
    rates = []
    for _ in range(rounds):
        started = time.perf_counter()
        _multiply(left, right)
        rates.append(flops / (time.perf_counter() - started))
    return rates


def _multiply(left: tf.Tensor, right: tf.Tensor) -> None:
    for _ in range(REPEATS):
        product = tf.matmul(left, right)
    product[0, 0].numpy()  # waits for the last

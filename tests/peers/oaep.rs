//! Tickets as clients encrypt them: RSA-1024 with OAEP and SHA-1, by which no library lets itself be found any more.
//!
//! In the test program itself, for a test that connects a thousand times has no time for a thousand processes.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Bytes of a block.
pub(crate) const BLOCK_SIZE: usize = 128;

const HASH_SIZE: usize = 20;

/// Where the modulus stands in the SubjectPublicKeyInfo of such a key; the exponent is always 65537.
const MODULUS_AT: usize = 29;

const LIMBS: usize = BLOCK_SIZE / 8;

/// Little end first.
type Number = [u64; LIMBS];

/// The password with its closing NUL under that key.
pub(crate) fn encrypted(public_key: &[u8], password: &[u8]) -> [u8; BLOCK_SIZE] {
    let mut block = [0; BLOCK_SIZE];
    let (seed, data) = block[1..].split_at_mut(HASH_SIZE);
    data[..HASH_SIZE].copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[]).as_ref());
    let at = data.len() - password.len() - 2;
    data[at] = 1;
    data[at + 1..at + 1 + password.len()].copy_from_slice(password);
    getrandom::fill(seed).unwrap();
    mask(seed, data);
    mask(data, seed);
    let modulus = of_bytes(&public_key[MODULUS_AT..MODULUS_AT + BLOCK_SIZE]);
    to_bytes(&power_65537(&of_bytes(&block), &modulus))
}

/// MGF1 of the seed over the data.
fn mask(seed: &[u8], data: &mut [u8]) {
    for (number, piece) in data.chunks_mut(HASH_SIZE).enumerate() {
        let counter = u32::try_from(number).unwrap().to_be_bytes();
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[seed, &counter].concat());
        for (byte, hashed) in piece.iter_mut().zip(hash.as_ref()) {
            *byte ^= hashed;
        }
    }
}

fn of_bytes(bytes: &[u8]) -> Number {
    let mut number = [0; LIMBS];
    for (limb, bytes) in number.iter_mut().zip(bytes.rchunks(8)) {
        *limb = u64::from_be_bytes(bytes.try_into().unwrap());
    }
    number
}

fn to_bytes(number: &Number) -> [u8; BLOCK_SIZE] {
    let mut bytes = [0; BLOCK_SIZE];
    for (limb, bytes) in number.iter().zip(bytes.rchunks_mut(8)) {
        bytes.copy_from_slice(&limb.to_be_bytes());
    }
    bytes
}

/// The difference modulo 2^1024, and whether it is below zero.
fn minus(a: &Number, b: &Number) -> (Number, bool) {
    let (mut result, mut borrow) = ([0; LIMBS], false);
    for index in 0..LIMBS {
        let (limb, first) = a[index].overflowing_sub(b[index]);
        let (limb, second) = limb.overflowing_sub(u64::from(borrow));
        (result[index], borrow) = (limb, first || second);
    }
    (result, borrow)
}

/// A number with a bit above it, made smaller than the modulus; it is smaller than twice that.
fn reduced(number: &Number, above: bool, modulus: &Number) -> Number {
    let (smaller, below) = minus(number, modulus);
    if above || !below { smaller } else { *number }
}

fn doubled(number: &Number, modulus: &Number) -> Number {
    let mut result = [0; LIMBS];
    let mut carry = 0;
    for (to, from) in result.iter_mut().zip(number) {
        *to = from << 1 | carry;
        carry = from >> 63;
    }
    reduced(&result, carry == 1, modulus)
}

/// Montgomery's product: a b / 2^1024.
fn product(a: &Number, b: &Number, modulus: &Number, inverse: u64) -> Number {
    let mut sum = [0; LIMBS + 2];
    for limb in a {
        add_multiple(&mut sum, b, *limb);
        let factor = sum[0].wrapping_mul(inverse);
        add_multiple(&mut sum, modulus, factor);
        sum.rotate_left(1);
        sum[LIMBS + 1] = 0;
    }
    let low: Number = sum[..LIMBS].try_into().unwrap();
    reduced(&low, sum[LIMBS] != 0, modulus)
}

fn add_multiple(sum: &mut [u64; LIMBS + 2], number: &Number, factor: u64) {
    let mut carry = 0_u128;
    for (index, to) in sum.iter_mut().enumerate() {
        let limb = number.get(index).copied().unwrap_or(0);
        carry += u128::from(limb) * u128::from(factor) + u128::from(*to);
        *to = carry as u64;
        carry >>= 64;
    }
}

fn power_65537(base: &Number, modulus: &Number) -> Number {
    // Newton's way to the negated inverse of the lowest limb.
    let mut inverse = 1_u64;
    for _ in 0..6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(modulus[0].wrapping_mul(inverse)));
    }
    let inverse = inverse.wrapping_neg();
    // 2^1024, and then the base times that.
    let (mut shifted, _) = minus(&[0; LIMBS], modulus);
    for _ in 0..64 * LIMBS {
        shifted = doubled(&shifted, modulus);
    }
    let base = product(base, &shifted, modulus, inverse);
    let mut power = base;
    for _ in 0..16 {
        power = product(&power, &power, modulus, inverse);
    }
    let power = product(&power, &base, modulus, inverse);
    let mut one = [0; LIMBS];
    one[0] = 1;
    product(&power, &one, modulus, inverse)
}

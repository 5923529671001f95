//! How long a search takes: a flash image of 256 KiB that is mostly erased, and random bytes, where every window counts.

#![expect(clippy::expect_used, reason = "a benchmark without a key measures nothing")]

use std::hint::black_box;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use touchmark_identity::key::PublicKey;
use touchmark_lab::extract::search;

fn bench(criterion: &mut Criterion) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("the library makes keys");
    let public = PublicKey::from_point(pair.public_key().as_ref()).expect("a key that was just made");
    let mut random = vec![0; 4096];
    aws_lc_rs::rand::fill(&mut random).expect("the library gives random bytes");
    let mut flash = vec![0xff; 256 * 1024];
    flash.splice(8192..8192 + random.len(), random.iter().copied());

    let mut group = criterion.benchmark_group("search");
    group.sample_size(10);
    for (name, image) in [("flash, 256 KiB with 4 KiB in use", &flash), ("random, 4 KiB", &random)] {
        group.throughput(Throughput::Bytes(image.len() as u64));
        group.bench_function(name, |b| b.iter(|| search(black_box(image), &public, &mut |_, _| {})));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);

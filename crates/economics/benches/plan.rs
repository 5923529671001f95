//! A hundred thousand lives of the worked example, on one core; and what a slider waits for.
//!
//! `cargo bench -p touchmark-economics --bench plan`

use criterion::{Criterion, criterion_group, criterion_main};
use touchmark_economics::cost::{Choices, Model, Options, Storage, report};
use touchmark_economics::input::Inputs;

fn plan(c: &mut Criterion) {
    let Ok(inputs) = Inputs::own() else { return };
    let Ok(model) = Model::new(&inputs, Choices::default()) else { return };
    let mut group = c.benchmark_group("cost");
    group.sample_size(10);
    group.bench_function("100,000 lives of the worked example", |b| b.iter(|| model.lives(100_000, 1)));
    group.bench_function("2,000 lives of the worked example", |b| b.iter(|| model.lives(2_000, 1)));
    group.bench_function("model and likely values", |b| {
        b.iter(|| Model::new(&inputs, Choices::default()).and_then(|model| model.likely()));
    });
    group.bench_function("what moves the answer", |b| b.iter(|| model.tornado(Storage::SecureElement)));
    let options = Options { lives: 2_000, ..Options::default() };
    group.bench_function("report with 2,000 lives", |b| b.iter(|| report(&inputs, &options)));
    group.finish();
}

criterion_group!(benches, plan);
criterion_main!(benches);

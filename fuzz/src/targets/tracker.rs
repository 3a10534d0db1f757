//! `track::Track` against the world of the engine's own test, which knows everything.

use super::Target;
use crate::mutate::one_in;
use weir_trainer::rng::Rng;

#[path = "../../../dataplane/engine/tests/track_oracle/world.rs"]
mod world;

/// The input is a first sequence number, how the world is set up, and then four bytes for each thing that the sender
/// does.
pub(crate) struct Tracker;

impl Target for Tracker {
    fn make(&self, rng: &mut Rng) -> Vec<u8> {
        let origin = match rng.below(3) {
            0 => u32::MAX - rng.below(2_000) as u32,
            1 => 0x7fff_ffff - rng.below(2_000) as u32,
            _ => rng.bits() as u32,
        };
        let mut input = origin.to_le_bytes().to_vec();
        input.push(rng.bits() as u8);
        let steps = if one_in(rng, 20) { 400 } else { rng.below(100) };
        input.extend((0..4 * steps).map(|_| rng.bits() as u8));
        input
    }

    fn counts(&self) -> &'static str {
        "sends"
    }

    fn check(&mut self, input: &[u8]) -> u64 {
        let Some(([a, b, c, d, setup], steps)) = input.split_first_chunk::<5>() else { return 0 };
        let world = world::World {
            origin: u32::from_le_bytes([*a, *b, *c, *d]),
            sack: setup & 1 != 0,
            timestamps: setup & 2 != 0,
            detail: setup & 4 != 0,
            gaps: setup & 8 != 0,
        };
        let sends: Vec<world::Send> = steps.chunks_exact(4).take(400).map(send).collect();
        world::play(world, &sends);
        sends.len() as u64
    }
}

fn send(step: &[u8]) -> world::Send {
    let (units, lost) = (step[1] % 5 + 1, step[2] < 40);
    match step[0] % 14 {
        0..8 => world::Send::New { units, lost },
        8..10 => world::Send::Again { back: u16::from(step[3]) % 60 + 1, units, lost },
        10 => world::Send::Around { units },
        _ => world::Send::Wait { ns: u16::from_le_bytes([step[2], step[3]]) % 30_000 },
    }
}

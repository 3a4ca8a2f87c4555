//! What the kernel programs need, seen in their instructions: the calls that not every kind of program may make, and their stacks,
//! reckoned as the strictest kernels do: Linux 6.1, and any that compiles no programs, rounds every frame up to 32 bytes
//! (`check_max_stack_depth` in `kernel/bpf/verifier.c`); Linux 6.18 to 16.

use std::collections::{BTreeMap, BTreeSet};

use aya_obj::generated::{
    BPF_ADD, BPF_ALU64, BPF_CALL, BPF_JMP, BPF_K, BPF_LDX, BPF_MOV, BPF_PSEUDO_CALL, BPF_ST, BPF_STX, BPF_X,
    bpf_func_id, bpf_insn,
};

use super::OBJECT;

/// `MAX_BPF_STACK`: what a program and all that it calls have together.
const MAX: u32 = 512;
/// What a frame is rounded up to.
const UNIT: u32 = 32;
/// The frame pointer.
const R10: u8 = 10;

/// A program with the functions that it calls.
struct Linked<'a> {
    instructions: &'a [bpf_insn],
    /// Where a function begins.
    starts: BTreeSet<usize>,
}

impl<'a> Linked<'a> {
    fn new(instructions: &'a [bpf_insn]) -> Self {
        let called = (0..instructions.len()).filter_map(|at| called(instructions, at));
        Self { instructions, starts: called.chain([0]).collect() }
    }

    fn function(&self, start: usize) -> std::ops::Range<usize> {
        let end = self.starts.range(start + 1..).next().copied();
        start..end.unwrap_or(self.instructions.len())
    }

    /// How far down a function reaches from its frame pointer.
    fn frame(&self, start: usize) -> u32 {
        let mut frame = 0;
        let mut pointers = BTreeSet::new();
        for insn in &self.instructions[self.function(start)] {
            let (class, to, from) = (u32::from(insn.code & 7), insn.dst_reg(), insn.src_reg());
            let base = if class == BPF_LDX { from } else { to };
            if matches!(class, BPF_LDX | BPF_ST | BPF_STX) && base == R10 {
                frame = frame.max(i32::from(insn.off).unsigned_abs());
            }
            let code = u32::from(insn.code);
            if code == BPF_ALU64 | BPF_ADD | BPF_K && pointers.contains(&to) {
                frame = frame.max(insn.imm.unsigned_abs());
            }
            if code == BPF_ALU64 | BPF_MOV | BPF_X && from == R10 {
                pointers.insert(to);
            } else if class != BPF_ST && class != BPF_STX {
                pointers.remove(&to);
            }
        }
        frame
    }

    /// The deepest of all chains of calls from a function: its frames, the last one first.
    fn deepest(&self, start: usize, known: &mut BTreeMap<usize, Vec<u32>>) -> Vec<u32> {
        if let Some(frames) = known.get(&start) {
            return frames.clone();
        }
        let callees: BTreeSet<usize> =
            self.function(start).filter_map(|at| called(self.instructions, at)).collect();
        let below =
            callees.into_iter().map(|callee| self.deepest(callee, known)).max_by_key(|frames| total(frames));
        let mut frames = below.unwrap_or_default();
        frames.push(self.frame(start));
        known.insert(start, frames.clone());
        frames
    }
}

/// The function that the instruction calls.
fn called(instructions: &[bpf_insn], at: usize) -> Option<usize> {
    let insn = instructions.get(at)?;
    let is_call = u32::from(insn.code) == BPF_JMP | BPF_CALL && u32::from(insn.src_reg()) == BPF_PSEUDO_CALL;
    is_call.then(|| (at + 1).checked_add_signed(insn.imm.try_into().unwrap()).unwrap())
}

fn total(frames: &[u32]) -> u32 {
    frames.iter().map(|frame| (*frame).max(1).next_multiple_of(UNIT)).sum()
}

/// The kernel programs, each with all that it calls.
fn linked() -> aya_obj::Object {
    let mut object = aya_obj::Object::parse(OBJECT).unwrap();
    let sections = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_calls(&sections).unwrap();
    object
}

#[test]
fn every_program_fits_the_stack_of_kernels_that_round_up() {
    let (object, mut deepest) = (linked(), 0);
    for (name, program) in &object.programs {
        let function = &object.functions[&program.function_key()];
        let frames = Linked::new(&function.instructions).deepest(0, &mut BTreeMap::new());
        let total = total(&frames);
        assert!(total <= MAX, "{name}: {total} of {MAX} bytes: {frames:?}");
        deepest = deepest.max(total);
    }
    assert!(object.programs.len() > 10 && deepest > MAX / 2, "{deepest} bytes: nothing was reckoned");
}

/// The kernel refuses other programs with that call, where it cannot see for itself that they never come to it.
#[test]
fn only_programs_of_interfaces_bring_headers_into_memory_of_their_own() {
    let object = linked();
    let pulls = |insn: &bpf_insn| {
        u32::from(insn.code) == BPF_JMP | BPF_CALL
            && insn.src_reg() == 0
            && insn.imm == bpf_func_id::BPF_FUNC_skb_pull_data as i32
    };
    let programs = object
        .programs
        .iter()
        .filter(|(_, program)| object.functions[&program.function_key()].instructions.iter().any(pulls));
    let mut names: Vec<&str> = programs.map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["enforcer_tc_in", "enforcer_tc_out", "enforcer_uplink"]);
}

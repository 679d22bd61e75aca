# `just` lists what there is. Each line is a command that works without just, too.

default:
    @just --list --unsorted

# What CI does, all of it.
check:
    bash .ci/run

# All tests.
test:
    cargo test --workspace --locked

# One crate's tests: `just test-one bellwether-journal`.
test-one crate *arguments:
    cargo test --package {{crate}} --locked {{arguments}}

# Thousands of simulated runs under a seeded scheduler with faults; SIMULATION_SEED and SIMULATION_SEEDS say which.
simulate:
    cargo test --package bellwether-actors --locked --release --test simulation -- --ignored --nocapture

# The ids of the script contract, each with its tests.
contract:
    cargo test --package bellwether-tests --locked --test it -- --exact house::contract::every_id_has_a_test_or_is_to_come --nocapture

# Formats everything.
fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy --package bellwether --all-targets --locked -- -D warnings

# Licences, sources, duplicates, and known faults where their list can be fetched.
deny:
    cargo deny check

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# The main job: a migration whose engine is killed half-way.
demo:
    ./demo

# A bench: `just bench fanout 10000`.
bench scenario *arguments:
    cargo run --release --locked --package bellwether-tests --bin bench -- {{scenario}} {{arguments}} --json

# 10,000 agents, killed with kill -9 twenty times.
campaign *arguments:
    cargo run --release --locked --package bellwether-tests --bin campaign -- {{arguments}}

# Takes over what the public API, a help text or another snapshot has become, after you have read it.
accept:
    INSTA_UPDATE=always cargo test --workspace --locked

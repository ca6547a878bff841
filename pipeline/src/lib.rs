//! The works: DAG, engine, inspection. An empty room so far.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loghaul_fuzz::laws::json_string::law(data));

//! How pages and other images become bytes on the device, and back.
//!
//! 1. The used bytes are compressed (kept as they are when that saves nothing).
//! 2. With a key they are encrypted: AES-256-GCM under a data key that HKDF-SHA256 derives from the master key
//!    and a salt drawn at each open, with a counter as nonce. So no pair of key and nonce is used twice, even
//!    when a copy of the folder is opened elsewhere.
//! 3. A header goes in front:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | `HP` |
//! | 2 | 1 | kind ([`ImageKind`]) |
//! | 3 | 1 | compression: 0 none, 1 lz4, 2 zstd; bit 7: encrypted |
//! | 4 | 4 | bytes that follow the header |
//! | 8 | 4 | bytes before compression |
//! | 12 | 4 | of these, bytes that belong at the front of the page |
//! | 16 | 8 | branch |
//! | 24 | 8 | page |
//! | 32 | 8 | SCN |
//! | 40 | 8 | nonce counter |
//! | 48 | 16 | salt of the data key |
//!
//! The header is the additional data of the encryption. The checksum (XXH3-64 of header and content) lies with
//! whoever points here, so an image that is whole but stale, or somebody else's, is found out too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use aes_gcm::aead::AeadInPlace;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use hkdf::Hkdf;
use parking_lot::RwLock;
use sha2::Sha256;
use xxhash_rust::xxh3::xxh3_64;
use zeroize::{Zeroize, ZeroizeOnDrop};
use zstd::bulk::{Compressor, Decompressor};

use crate::error::{Error, Result};
use crate::ids::{BranchId, PageId, PageKey, Scn};
use crate::page;

/// Bytes of the header of an image.
pub const IMAGE_HEADER_BYTES: usize = 64;
const TAG_BYTES: usize = 16;
const ZSTD_LEVEL: i32 = 1;
const MAGIC: [u8; 2] = *b"HP";
const ENCRYPTED: u8 = 0x80;
/// No image is larger; a larger length in a header is damage.
const IMAGE_BYTES_MAX: usize = 64 << 20;

const _: () = assert!(IMAGE_HEADER_BYTES + TAG_BYTES == page::PAGE_TRAILER_BYTES);

/// How images are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4, block format: fast.
    Lz4,
    /// Zstandard, level 1: smaller.
    #[default]
    Zstd,
}

/// What an image is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ImageKind {
    /// A page.
    Page = 1,
    /// A node of the page map.
    MapNode = 2,
    /// Undo records of a page, older than its image.
    History = 3,
    /// A part of the log.
    Log = 4,
    /// A block of a temporary file.
    Temporary = 5,
}

/// A 256-bit master key. Wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// The key made of these bytes.
    pub fn new(bytes: [u8; 32]) -> MasterKey {
        MasterKey(bytes)
    }

    /// A value by which a folder knows its key again, and which does not tell it.
    pub fn fingerprint(&self, salt: &[u8; 16]) -> [u8; 16] {
        let mut out = [0; 16];
        Hkdf::<Sha256>::new(Some(salt), &self.0)
            .expand(b"heliosdb key fingerprint", &mut out)
            .expect("16 bytes are a valid length");
        out
    }

    fn data_key(&self, salt: &[u8; 16]) -> Aes256Gcm {
        let mut bytes = [0; 32];
        Hkdf::<Sha256>::new(Some(salt), &self.0)
            .expand(b"heliosdb data key", &mut bytes)
            .expect("32 bytes are a valid length");
        let cipher = Aes256Gcm::new(&bytes.into());
        bytes.zeroize();
        cipher
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

struct Cipher {
    master: MasterKey,
    salt: [u8; 16],
    current: Aes256Gcm,
    nonce: AtomicU64,
    others: RwLock<HashMap<[u8; 16], Aes256Gcm>>,
}

/// zstd's working memory, one of each in every thread: making it takes longer than using it on a page.
#[derive(Default)]
struct ZstdContexts {
    compressor: Option<Compressor<'static>>,
    decompressor: Option<Decompressor<'static>>,
}

thread_local! {
    static ZSTD: RefCell<ZstdContexts> = RefCell::default();
}

impl ZstdContexts {
    fn compressor(&mut self) -> io::Result<&mut Compressor<'static>> {
        match &mut self.compressor {
            Some(made) => Ok(made),
            none => Ok(none.insert(Compressor::new(ZSTD_LEVEL)?)),
        }
    }

    fn decompressor(&mut self) -> io::Result<&mut Decompressor<'static>> {
        match &mut self.decompressor {
            Some(made) => Ok(made),
            none => Ok(none.insert(Decompressor::new()?)),
        }
    }
}

/// Compresses, encrypts and checks images.
pub struct Codec {
    compression: Compression,
    cipher: Option<Cipher>,
    page_check: PageCheck,
}

/// Tells what is wrong with a page that was read, if anything is.
pub type PageCheck = fn(&[u8]) -> std::result::Result<(), &'static str>;

/// An image ready to be written.
#[derive(Debug)]
pub struct Encoded {
    /// Header and content.
    pub bytes: Vec<u8>,
    /// XXH3-64 of them.
    pub checksum: u64,
}

/// What a header says.
#[derive(Clone, Copy, Debug)]
pub struct ImageHeader {
    /// What it is of.
    pub kind: u8,
    compression: u8,
    content_bytes: usize,
    raw_bytes: usize,
    front_bytes: usize,
    /// Whose it is.
    pub key: PageKey,
    /// Of which version.
    pub scn: Scn,
}

impl Codec {
    /// A codec; `salt` must be fresh random bytes of this very open.
    pub fn new(compression: Compression, key: Option<MasterKey>, salt: [u8; 16]) -> Codec {
        let cipher = key.map(|master| Cipher {
            current: master.data_key(&salt),
            salt,
            nonce: AtomicU64::new(1),
            others: RwLock::default(),
            master,
        });
        Codec { compression, cipher, page_check: |_| Ok(()) }
    }

    /// One that decodes only pages that pass `check`: a checksum tells what somebody wrote, not that it was this program.
    pub fn checking(self, check: PageCheck) -> Codec {
        Codec { page_check: check, ..self }
    }

    /// Encodes a page: its header and used bytes, the undo position left out.
    pub fn encode_page(&self, key: PageKey, page: &[u8]) -> Encoded {
        let (lower, upper) = (usize::from(page::lower(page)), usize::from(page::upper(page)));
        let mut raw = Vec::with_capacity(page.len());
        raw.extend_from_slice(&page[..lower]);
        page::set_undo_position(&mut raw, 0);
        raw[6] = 0;
        raw.extend_from_slice(&page[upper..page::content_end(page.len())]);
        self.encode(ImageKind::Page, key, page::scn(page), &raw, lower)
    }

    /// Encodes any bytes.
    pub fn encode(&self, kind: ImageKind, key: PageKey, scn: Scn, raw: &[u8], front_bytes: usize) -> Encoded {
        let mut bytes = vec![0; IMAGE_HEADER_BYTES];
        let compression = self.compress_into(raw, &mut bytes);
        let content_bytes =
            bytes.len() - IMAGE_HEADER_BYTES + if self.cipher.is_some() { TAG_BYTES } else { 0 };
        bytes[..2].copy_from_slice(&MAGIC);
        bytes[2] = kind as u8;
        bytes[3] = compression | if self.cipher.is_some() { ENCRYPTED } else { 0 };
        bytes[4..8].copy_from_slice(&(content_bytes as u32).to_le_bytes());
        bytes[8..12].copy_from_slice(&(raw.len() as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&(front_bytes as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&key.branch.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&key.page.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&scn.0.to_le_bytes());
        if let Some(cipher) = &self.cipher {
            let counter = cipher.nonce.fetch_add(1, Ordering::Relaxed);
            bytes[40..48].copy_from_slice(&counter.to_le_bytes());
            bytes[48..64].copy_from_slice(&cipher.salt);
            let (header, content) = bytes.split_at_mut(IMAGE_HEADER_BYTES);
            let tag = cipher
                .current
                .encrypt_in_place_detached(Nonce::from_slice(&nonce(counter)), header, content)
                .expect("images are far below the cipher's limit");
            bytes.extend_from_slice(&tag);
        }
        let checksum = xxh3_64(&bytes);
        Encoded { bytes, checksum }
    }

    fn compress_into(&self, raw: &[u8], out: &mut Vec<u8>) -> u8 {
        let start = out.len();
        let method = match self.compression {
            Compression::None => 0,
            Compression::Lz4 => {
                let bound = lz4_flex::block::get_maximum_output_size(raw.len());
                out.resize(start + bound, 0);
                match lz4_flex::block::compress_into(raw, &mut out[start..]) {
                    Ok(length) => {
                        out.truncate(start + length);
                        1
                    }
                    Err(_) => 0,
                }
            }
            Compression::Zstd => {
                out.resize(start + zstd::zstd_safe::compress_bound(raw.len()), 0);
                let compressed = ZSTD.with_borrow_mut(|contexts| {
                    contexts.compressor()?.compress_to_buffer(raw, &mut out[start..])
                });
                match compressed {
                    Ok(length) => {
                        out.truncate(start + length);
                        2
                    }
                    Err(_) => 0,
                }
            }
        };
        if method == 0 || out.len() - start >= raw.len() {
            out.truncate(start);
            out.extend_from_slice(raw);
            return 0;
        }
        method
    }

    /// Checks and decodes an image to its bytes before compression.
    ///
    /// # Errors
    /// [`Error::Corruption`], saying what is wrong.
    pub fn decode(&self, image: &[u8], checksum: u64) -> Result<(ImageHeader, Vec<u8>)> {
        let header = ImageHeader::parse(image)?;
        let image = image
            .get(..IMAGE_HEADER_BYTES + header.content_bytes)
            .ok_or_else(|| Error::Corruption("an image is shorter than its header says".into()))?;
        if xxh3_64(image) != checksum {
            return Err(Error::Corruption(format!(
                "the checksum of page {} of branch {} is wrong",
                header.key.page, header.key.branch
            )));
        }
        let (head, content) = image.split_at(IMAGE_HEADER_BYTES);
        let decrypted = self.decrypt(head, content, header)?;
        let content = decrypted.as_deref().unwrap_or(content);
        let raw = match header.compression & !ENCRYPTED {
            0 => content.to_vec(),
            1 => lz4_flex::block::decompress(content, header.raw_bytes)
                .map_err(|error| Error::Corruption(format!("an image does not decompress: {error}")))?,
            2 => ZSTD
                .with_borrow_mut(|contexts| contexts.decompressor()?.decompress(content, header.raw_bytes))
                .map_err(|error| Error::Corruption(format!("an image does not decompress: {error}")))?,
            other => return Err(Error::Corruption(format!("compression method {other} does not exist"))),
        };
        if raw.len() != header.raw_bytes {
            return Err(Error::Corruption("an image has the wrong length after decompression".into()));
        }
        Ok((header, raw))
    }

    fn decrypt(&self, head: &[u8], content: &[u8], header: ImageHeader) -> Result<Option<Vec<u8>>> {
        if header.compression & ENCRYPTED == 0 {
            // Otherwise whoever can write to the folder could put plain images in the place of encrypted ones.
            return match self.cipher {
                Some(_) => {
                    Err(Error::Corruption("an image of an encrypted database is not encrypted".into()))
                }
                None => Ok(None),
            };
        }
        let cipher = self
            .cipher
            .as_ref()
            .ok_or_else(|| Error::Open("the database is encrypted: give its key".into()))?;
        let mut salt = [0; 16];
        salt.copy_from_slice(&head[48..64]);
        let counter = u64::from_le_bytes(head[40..48].try_into().expect("eight bytes"));
        if content.len() < TAG_BYTES {
            return Err(Error::Corruption("an encrypted image has no tag".into()));
        }
        let (body, tag) = content.split_at(content.len() - TAG_BYTES);
        let mut body = body.to_vec();
        cipher
            .with_key(&salt, |key| {
                key.decrypt_in_place_detached(
                    Nonce::from_slice(&nonce(counter)),
                    head,
                    &mut body,
                    aes_gcm::Tag::from_slice(tag),
                )
            })
            .map_err(|_| Error::Corruption("an encrypted image does not authenticate".into()))?;
        Ok(Some(body))
    }

    /// Decodes a page into `page`.
    ///
    /// # Errors
    /// [`Error::Corruption`], also when the image is another page's.
    pub fn decode_page(&self, key: PageKey, image: &[u8], checksum: u64, page: &mut [u8]) -> Result<()> {
        let (header, raw) = self.decode(image, checksum)?;
        if header.key != key || header.kind != ImageKind::Page as u8 {
            return Err(Error::Corruption(format!("found another image in the place of page {}", key.page)));
        }
        unpack(header.front_bytes, &raw, page).and_then(|()| (self.page_check)(page)).map_err(|what| {
            Error::Corruption(format!("page {} of branch {} is damaged: {what}", key.page, key.branch))
        })
    }
}

impl Cipher {
    fn with_key<T>(&self, salt: &[u8; 16], use_key: impl FnOnce(&Aes256Gcm) -> T) -> T {
        if *salt == self.salt {
            return use_key(&self.current);
        }
        if let Some(key) = self.others.read().get(salt) {
            return use_key(key);
        }
        let key = self.master.data_key(salt);
        let result = use_key(&key);
        self.others.write().insert(*salt, key);
        result
    }
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

impl ImageHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// [`Error::Corruption`] when it is none.
    pub fn parse(image: &[u8]) -> Result<ImageHeader> {
        if image.len() < IMAGE_HEADER_BYTES || image[..2] != MAGIC {
            return Err(Error::Corruption(
                "the data file has no image of a page where one should be: restore the folder from a backup"
                    .into(),
            ));
        }
        let u32_at =
            |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().expect("four bytes")) as usize;
        let u64_at = |at: usize| u64::from_le_bytes(image[at..at + 8].try_into().expect("eight bytes"));
        let header = ImageHeader {
            kind: image[2],
            compression: image[3],
            content_bytes: u32_at(4),
            raw_bytes: u32_at(8),
            front_bytes: u32_at(12),
            key: PageKey::new(BranchId(u64_at(16)), PageId(u64_at(24))),
            scn: Scn(u64_at(32)),
        };
        if header.raw_bytes > IMAGE_BYTES_MAX || header.content_bytes > IMAGE_BYTES_MAX {
            return Err(Error::Corruption("an image says that it is impossibly large".into()));
        }
        Ok(header)
    }
}

/// Puts the used bytes of a page back where they were: `front_bytes` at the front, the rest at the back.
fn unpack(front_bytes: usize, used: &[u8], page: &mut [u8]) -> std::result::Result<(), &'static str> {
    let end = page::content_end(page.len());
    let (front, back) = used.split_at_checked(front_bytes).ok_or("it is shorter than its front")?;
    if front.len() < page::PAGE_HEADER_BYTES || used.len() > end {
        return Err("it is shorter than its header or longer than a page");
    }
    if usize::from(page::lower(front)) != front.len() || usize::from(page::upper(front)) != end - back.len() {
        return Err("its parts are not as long as it says");
    }
    page[..front.len()].copy_from_slice(front);
    page[end - back.len()..end].copy_from_slice(back);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::PageKind;

    fn sample_page() -> Vec<u8> {
        let mut page = vec![0; 8192];
        page::initialize(&mut page, PageKind::Leaf);
        page::set_scn_raw(&mut page, 7);
        page::set_upper(&mut page, 8000);
        for (index, byte) in page[8000..8112].iter_mut().enumerate() {
            *byte = index as u8;
        }
        page
    }

    /// A page comes back as it was, whatever the compression and with a key or without; a flipped bit anywhere
    /// in the image is an error.
    #[test]
    fn pages_round_trip_and_damage_is_found() {
        let key = PageKey::new(BranchId(2), PageId(9));
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            for master in [None, Some(MasterKey::new([5; 32]))] {
                let codec = Codec::new(compression, master, [1; 16]);
                let page = sample_page();
                let encoded = codec.encode_page(key, &page);
                let mut back = vec![0; 8192];
                codec.decode_page(key, &encoded.bytes, encoded.checksum, &mut back).unwrap();
                assert_eq!(back, page);
                for index in 0..encoded.bytes.len() {
                    let mut damaged = encoded.bytes.clone();
                    damaged[index] ^= 1;
                    assert!(codec.decode_page(key, &damaged, encoded.checksum, &mut back).is_err());
                }
            }
        }
    }

    /// An image written under an earlier open is read with the same master key, and not with another.
    #[test]
    fn earlier_opens_are_readable_with_the_same_key_only() {
        let key = PageKey::new(BranchId(2), PageId(9));
        let old = Codec::new(Compression::Zstd, Some(MasterKey::new([5; 32])), [1; 16]);
        let encoded = old.encode_page(key, &sample_page());
        let mut back = vec![0; 8192];
        let new = Codec::new(Compression::Zstd, Some(MasterKey::new([5; 32])), [2; 16]);
        new.decode_page(key, &encoded.bytes, encoded.checksum, &mut back).unwrap();
        let wrong = Codec::new(Compression::Zstd, Some(MasterKey::new([6; 32])), [2; 16]);
        assert!(wrong.decode_page(key, &encoded.bytes, encoded.checksum, &mut back).is_err());
    }
}

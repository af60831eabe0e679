//! The content of the pages, as plain values.

use shared::archives::State;

/// A link, as far as its pages need it.
pub struct LinkView {
    /// The path of the link's page: `/s/{token}`.
    pub path: String,
    /// The absolute URL of the API, for previews of the link.
    pub api: String,
    /// The time at which the link expires, in RFC 3339.
    pub expires_at: Option<String>,
    /// True if downloads are counted: then a page must not read content that nobody asked for.
    pub is_counted: bool,
    /// True if the link needs a password: then no preview of the link shows anything of its content.
    pub has_password: bool,
}

impl LinkView {
    /// The path of a file's content. `query` may ask for a thumbnail or for a download.
    pub fn data(&self, file: &str, query: &str) -> String {
        format!("{}/files/{file}/data{query}", self.path)
    }

    pub fn folder(&self, folder: &str) -> String {
        format!("{}?folder={folder}", self.path)
    }

    pub fn file(&self, file: &str) -> String {
        format!("{}?file={file}", self.path)
    }
}

pub struct EntryView {
    pub id: String,
    pub name: String,
    /// The time of the last change, in RFC 3339.
    pub changed_at: String,
    pub content: ContentView,
}

pub enum ContentView {
    Folder,
    File {
        /// `None` if the bytes cannot be read.
        size: Option<u64>,
        content_type: String,
        has_thumbnails: bool,
    },
}

/// A folder on the way from the shared folder to the one that is shown.
pub struct StepView {
    pub id: String,
    pub name: String,
}

/// A page of a folder.
pub struct FolderView {
    /// From the shared folder, which has no id here, to the folder that is shown.
    pub root: String,
    pub steps: Vec<StepView>,
    pub entries: Vec<EntryView>,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// True if this is not the first page.
    pub is_continued: bool,
}

impl FolderView {
    /// The name of the folder that is shown.
    pub fn name(&self) -> &str {
        self.steps.last().map_or(&self.root, |step| &step.name)
    }
}

/// A ZIP of what is shared.
pub struct ZipView {
    pub id: String,
    pub state: State,
    /// The size of the ZIP; `None` until its list is made.
    pub bytes: Option<u64>,
    pub done: u64,
    /// The reason why there is no ZIP.
    pub error: Option<String>,
}

/// A folder that takes uploads.
pub struct RequestView {
    pub name: String,
    pub max_bytes: Option<u64>,
    pub max_files: Option<u64>,
    /// Media types, or classes such as `image/*`; empty if any type is allowed.
    pub types: Vec<String>,
    /// The number of files that the form has just sent.
    pub sent: Option<u64>,
    /// The reason for which the form sent no more.
    pub refusal: Option<String>,
}

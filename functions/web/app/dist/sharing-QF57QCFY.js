import{A as o,B as r,C as m,D as p}from"/app/chunk-UWGIIJBM.js";import"/app/chunk-3UDJEJUD.js";export{m as LinksScreen,p as downloadZip,r as openFileRequest,o as openShare};
